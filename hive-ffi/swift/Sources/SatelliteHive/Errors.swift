//  Errors: one case per code.

import Foundation
import HiveFFI

/// Why a call failed. Each code is a case: `catch HiveError.SatelliteOffline(let message, _)`.
public typealias HiveError = HiveFFI.HiveError

extension HiveError {
    /// The error code, such as `SATELLITE_OFFLINE`.
    public var code: String { errorParts(error: self).code }

    /// For people.
    public var message: String { errorParts(error: self).message }

    /// JSON for programs: the field that breaks a rule, the command that continues …
    public var details: String? { errorParts(error: self).details }
}

extension HiveError: LocalizedError {
    public var errorDescription: String? { message }
}
