//  Failures: one case a code, as in every interface of a hive.

import Foundation
import HiveFFI

/// Why something could not be done. Cases are the codes: `catch HiveError.SatelliteOffline(let message, _)`.
public typealias HiveError = HiveFFI.HiveError

extension HiveError {
    /// The stable word for it, such as `SATELLITE_OFFLINE`.
    public var code: String { errorParts(error: self).code }

    /// For people.
    public var message: String { errorParts(error: self).message }

    /// JSON for programs: the field that broke a rule, the command that goes on …
    public var details: String? { errorParts(error: self).details }
}

extension HiveError: LocalizedError {
    public var errorDescription: String? { message }
}
