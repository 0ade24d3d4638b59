//  One viewer of a session.

import Foundation
import HiveFFI

/// One viewer of a session.
///
/// If the connection to the hive breaks, the viewer reattaches by itself, and no input or output is lost or repeated. Closing it, or
/// dropping its last reference, leaves the program running.
public final class Terminal: Sendable {
    let inner: HiveFFI.Terminal

    init(_ inner: HiveFFI.Terminal) {
        self.inner = inner
    }

    /// The session as last reported.
    public var session: Session { inner.session() }

    /// All events, to the end of the program. It has one reader at a time.
    public var events: TerminalEvents { TerminalEvents(terminal: inner) }

    /// The output alone, in chunks.
    public var output: AsyncThrowingCompactMapSequence<TerminalEvents, Data> {
        events.compactMap { (event: TerminalEvent) throws -> Data? in
            switch event {
            case .output(let data): return data
            case .refused(let error): throw TerminalRefused(failure: error)
            default: return nil
            }
        }
    }

    /// Sends input. Returns when all of it is accepted, not when the program has read it.
    public func write(_ text: String) async throws {
        try await write(Data(text.utf8))
    }

    /// Sends bytes as input.
    public func write(_ data: Data) async throws {
        try await inner.write(data: data)
    }

    /// Reports another size of the viewer's screen.
    public func resize(cols: UInt16, rows: UInt16) async throws {
        try await inner.resize(size: Size(cols: cols, rows: rows))
    }

    /// Takes the keyboard from its holder.
    public func takeControl() async throws {
        try await inner.takeControl()
    }

    /// Asks the holder of the keyboard for it.
    public func requestControl() async throws {
        try await inner.requestControl()
    }

    /// Releases the keyboard.
    public func releaseControl() async throws {
        try await inner.releaseControl()
    }

    /// Gives the keyboard to a viewer that asked for it, by the number in `controlRequested`.
    public func grantControl(to viewer: UInt32) async throws {
        try await inner.grantControl(to: viewer)
    }

    /// Detaches. The program continues.
    public func close() async {
        await inner.close()
    }
}

/// The hive refuses a viewer. The program may still run.
public struct TerminalRefused: Error {
    /// Why.
    public let failure: ErrorBody
}

/// The events of a terminal.
///
/// A cancelled task stops reading, and the terminal stays open. The next reader continues with the next event.
public struct TerminalEvents: AsyncSequence, Sendable {
    public typealias Element = TerminalEvent

    let terminal: HiveFFI.Terminal

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(terminal: terminal)
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        let terminal: HiveFFI.Terminal

        public mutating func next() async throws -> TerminalEvent? {
            while await terminal.wait() {
                if let event = try terminal.take() {
                    return event
                }
                try Task.checkCancellation()
            }
            return nil
        }
    }
}
