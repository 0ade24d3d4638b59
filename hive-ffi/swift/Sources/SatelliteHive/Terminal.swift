//  Terminals that do not die.

import Foundation
import HiveFFI

/// A terminal on a satellite, as one viewer sees it.
///
/// A way to the hive that breaks is found again by itself, and nothing is lost or typed twice. Leaving, or forgetting the object,
/// leaves the program running.
public final class Terminal: Sendable {
    let inner: HiveFFI.Terminal

    init(_ inner: HiveFFI.Terminal) {
        self.inner = inner
    }

    /// The terminal as it was last heard of.
    public var session: Session { inner.session() }

    /// Everything that happens, to the program's end. One reads at a time.
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

    /// Types. Returns when all of it is taken over, not when the program has read it.
    public func write(_ text: String) async throws {
        try await write(Data(text.utf8))
    }

    /// Types bytes.
    public func write(_ data: Data) async throws {
        try await inner.write(data: data)
    }

    /// Says that the viewer's screen has another size.
    public func resize(cols: UInt16, rows: UInt16) async throws {
        try await inner.resize(size: Size(cols: cols, rows: rows))
    }

    /// Takes the keyboard from whoever has it.
    public func takeControl() async throws {
        try await inner.takeControl()
    }

    /// Asks who has the keyboard for it.
    public func requestControl() async throws {
        try await inner.requestControl()
    }

    /// Lets the keyboard go.
    public func releaseControl() async throws {
        try await inner.releaseControl()
    }

    /// Gives the keyboard to who asked for it, by the number in `controlRequested`.
    public func grantControl(to viewer: UInt32) async throws {
        try await inner.grantControl(to: viewer)
    }

    /// Leaves. The program lives on.
    public func close() async {
        await inner.close()
    }
}

/// The hive does not let a viewer in any more. The program may live on.
public struct TerminalRefused: Error {
    /// Why.
    public let failure: ErrorBody
}

/// What happens in a terminal.
///
/// A task that is cancelled stops reading, and the terminal stays open for another: what had come is for the next reader.
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
