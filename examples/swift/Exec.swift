//  A command on one satellite, and what can go wrong. HIVE_URL and HIVE_API_KEY name the hive.

import Foundation
import SatelliteHive

let environment = ProcessInfo.processInfo.environment
guard let url = environment["HIVE_URL"], let key = environment["HIVE_API_KEY"] else {
    fatalError("set HIVE_URL and HIVE_API_KEY")
}

let hive = try Hive.connect(url: url, apiKey: key)
guard let satellite = try await hive.satellites(SatelliteFilter(online: true)).first else {
    fatalError("no satellite is online")
}
var command: Command = "uname -sr; exit 3"
command.timeoutSeconds = 5
do {
    let result = try await hive.exec(satellite.name, command)
    // Output is a machine's own word: escaped, so that it cannot move the terminal's cursor.
    print(satellite.name, result.status, result.exitCode ?? 0, result.text.debugDescription)
} catch HiveError.SatelliteOffline(let message, _) {
    print("\(message), and nothing was stored")
} catch HiveError.CommandTimeout(_, let details) {
    print("it did not end in its time:", details ?? "")
}
