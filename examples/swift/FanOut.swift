//  One command on every satellite, with its progress. HIVE_URL and HIVE_API_KEY name the hive.

import Foundation
import SatelliteHive

let environment = ProcessInfo.processInfo.environment
guard let url = environment["HIVE_URL"], let key = environment["HIVE_API_KEY"] else {
    fatalError("set HIVE_URL and HIVE_API_KEY")
}

let hive = try Hive.connect(url: url, apiKey: key)
let done = try await hive.fanOut(to: ["all"], "uptime", options: FanOutOptions(concurrency: 50)) { event in
    if case .target(_, let name, _, let status, _) = event {
        print(name, status)
    }
}
for result in done.results {
    print(result.satelliteName, result.text.debugDescription, result.error?.message ?? "")
}
print("job", done.job.id, done.job.status, done.job.counts)
