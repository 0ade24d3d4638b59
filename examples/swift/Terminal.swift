//  Drives a terminal. HIVE_URL and HIVE_API_KEY name the hive.

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
let options = SessionOptions(shell: "/bin/sh", size: Size(cols: 100, rows: 30))
let terminal = try await hive.terminal(on: satellite.name, options: options)
try await terminal.write("stty size; exit 7\n")
for try await event in terminal.events {
    switch event {
    case .output(let data): print(String(decoding: data, as: UTF8.self).debugDescription)
    case .ended(let reason, let exitCode, _): print("the shell ended:", reason, exitCode ?? 0)
    default: print(event)
    }
}
