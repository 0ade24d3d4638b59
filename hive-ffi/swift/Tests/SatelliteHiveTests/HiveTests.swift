//  Drives a running hive. HIVE_URL and HIVE_API_KEY name it; it has a satellite that is online.

import Foundation
import XCTest

@testable import SatelliteHive

final class HiveTests: XCTestCase {
    private func connected() async throws -> (Hive, String) {
        let environment = ProcessInfo.processInfo.environment
        let url = try XCTUnwrap(environment["HIVE_URL"])
        let hive = try Hive.connect(url: url, apiKey: try XCTUnwrap(environment["HIVE_API_KEY"]))
        let online = try await hive.satellites(SatelliteFilter(online: true))
        return (hive, try XCTUnwrap(online.first).name)
    }

    func testALineRunsInTheShell() async throws {
        let (hive, satellite) = try await connected()
        let result = try await hive.exec(satellite, "echo out; exit 3")
        XCTAssertEqual(result.exitCode, 3)
        XCTAssertEqual(result.text, "out\n")
    }

    func testAFanOutTellsHowItGoesOn() async throws {
        let (hive, satellite) = try await connected()
        let (told, tell) = AsyncStream<JobEvent>.makeStream()
        let done = try await hive.fanOut(to: [satellite], "true") { tell.yield($0) }
        tell.finish()
        let events = await told.reduce(into: []) { $0.append($1) }
        XCTAssertTrue(done.results.allSatisfy(\.isSuccess))
        XCTAssertEqual(events.last, .ended(job: done.job))
    }

    func testATerminalIsDriven() async throws {
        let (hive, satellite) = try await connected()
        let terminal = try await hive.terminal(on: satellite, options: SessionOptions(shell: "/bin/sh"))
        try await terminal.write("echo $((6 * 7)); exit\n")
        var said = Data()
        for try await chunk in terminal.output {
            said.append(chunk)
        }
        XCTAssertTrue(String(decoding: said, as: UTF8.self).contains("42"))
    }

    func testAnErrorHasItsCode() async throws {
        let (hive, _) = try await connected()
        do {
            _ = try await hive.exec("no-such-satellite", "true")
            XCTFail("it ran")
        } catch let error as HiveError {
            XCTAssertEqual(error.code, "SATELLITE_NOT_FOUND")
            XCTAssertEqual(error.details, #"{"satellite":"no-such-satellite"}"#)
        }
    }

    func testAHiveOfOnesOwnIsServed() async throws {
        let hive = try Hive.open()
        let server = try await hive.serve("127.0.0.1:0")
        let token = try await hive.createRegistrationToken(tags: ["web"], allowedTags: ["rack-*"])
        let listed = try await hive.registrationTokens()
        XCTAssertEqual(listed.map(\.id), [token.id])
        XCTAssertEqual(listed.map(\.tags), [["web"]])
        XCTAssertEqual(listed.map(\.allowedTags), [["rack-*"]])
        let stranger = try Hive.connect(url: server.url, apiKey: "hive_key_of_nobody")
        do {
            _ = try await stranger.me()
            XCTFail("a stranger was let in")
        } catch HiveError.AuthInvalid {
        }
        try await server.stop()
    }

    func testValuesAreCodable() throws {
        let command = Command(program: "ls", ["-l"])
        let again = try JSONDecoder().decode(Command.self, from: JSONEncoder().encode(command))
        XCTAssertEqual(again, command)
    }
}
