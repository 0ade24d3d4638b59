//  Streams: `for try await event in hive.events()`.

import HiveFFI

/// A stream for one reader. It ends with its last element, or when the task that reads it is cancelled.
///
/// It throws if it breaks off. It also ends when its last reference is dropped.
public struct Events<Element: Sendable>: AsyncSequence, Sendable {
    let source: EventSource<Element>

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(source: source)
    }

    /// Ends it, also for a reader that waits.
    public func close() {
        source.close()
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        let source: EventSource<Element>

        public mutating func next() async throws -> Element? {
            try await source.next()
        }
    }
}

/// A stream of the library, which is read in two steps: wait, then take.
struct EventSource<Element: Sendable>: Sendable {
    let wait: @Sendable () async -> Bool
    let take: @Sendable () throws -> Element?
    let close: @Sendable () -> Void

    func next() async throws -> Element? {
        try await withTaskCancellationHandler {
            while await wait() {
                if let element = try take() {
                    return element
                }
            }
            return nil
        } onCancel: {
            close()
        }
    }
}

extension EventSource where Element == SatelliteEvent {
    init(_ events: SatelliteEvents) {
        self.init(wait: { await events.wait() }, take: { try events.take() }, close: { events.close() })
    }
}

extension EventSource where Element == ExecEvent {
    init(_ events: ExecEvents) {
        self.init(wait: { await events.wait() }, take: { try events.take() }, close: { events.close() })
    }
}

extension EventSource where Element == JobEvent {
    init(_ events: JobEvents) {
        self.init(wait: { await events.wait() }, take: { try events.take() }, close: { events.close() })
    }
}

extension EventSource where Element == String {
    init(_ lines: AuditExport) {
        self.init(wait: { await lines.wait() }, take: { try lines.take() }, close: { lines.close() })
    }
}
