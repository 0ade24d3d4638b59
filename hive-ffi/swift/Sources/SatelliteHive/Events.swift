//  Streams: `for try await event in hive.events()`.

import HiveFFI

/// What happens, for one reader, until it is over or the task that reads is cancelled.
///
/// It throws where it breaks off. It ends, here and on the other side, when it is forgotten.
public struct Events<Element: Sendable>: AsyncSequence, Sendable {
    let source: EventSource<Element>

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(source: source)
    }

    /// Ends it, for who reads as well.
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

/// A stream of the library below: wait, then take.
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
