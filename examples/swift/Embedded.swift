//  A hive inside this program, and a satellite that joins it. HIVE_BIN_DIR is the folder `satellite-agent` is in.

import Foundation
import SatelliteHive

guard let programs = ProcessInfo.processInfo.environment["HIVE_BIN_DIR"] else {
    fatalError("set HIVE_BIN_DIR to the folder satellite-agent is in")
}
let home = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
defer { try? FileManager.default.removeItem(at: home) }

let hive = try Hive.open(path: home.appendingPathComponent("hive").path)
let server = try await hive.serve("127.0.0.1:0")
print("serving at", server.url)
let token = try await hive.createRegistrationToken(description: "the example").token
let events = try await hive.events()

let tokenFile = home.appendingPathComponent("token")
try token.write(to: tokenFile, atomically: true, encoding: .utf8)
let satellite = Process()
satellite.executableURL = URL(fileURLWithPath: programs).appendingPathComponent("satellite-agent")
satellite.arguments = [
    "--server", server.url, "--name", "this-machine", "--registration-token-file", tokenFile.path,
    "--data-dir", home.appendingPathComponent("satellite").path, "--local-api", "off", "--log-level", "error",
]
try satellite.run()
for try await event in events {
    if case .online = event { break }
}
print(try await hive.exec("this-machine", "echo hello from $(uname -s)").text.debugDescription)
print("audit records:", try await hive.verifyAudit().records)
satellite.terminate()
satellite.waitUntilExit()
try await server.stop()
