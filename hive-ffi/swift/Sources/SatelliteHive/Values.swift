//  The plain values of arguments and results, `Codable` and `Sendable`.

import Foundation
import HiveFFI

public typealias ApiKey = HiveFFI.ApiKey
public typealias AuditEntry = HiveFFI.AuditEntry
public typealias AuditFilter = HiveFFI.AuditFilter
public typealias AuditVerification = HiveFFI.AuditVerification
public typealias Channel = HiveFFI.Channel
public typealias Command = HiveFFI.Command
public typealias CommandInfo = HiveFFI.CommandInfo
public typealias CommandResult = HiveFFI.CommandResult
public typealias ErrorBody = HiveFFI.ErrorBody
public typealias ExecEvent = HiveFFI.ExecEvent
public typealias FanOut = HiveFFI.FanOut
public typealias FanOutOptions = HiveFFI.FanOutOptions
public typealias Job = HiveFFI.Job
public typealias JobEvent = HiveFFI.JobEvent
public typealias JobTarget = HiveFFI.JobTarget
public typealias Me = HiveFFI.Me
public typealias NewApiKey = HiveFFI.NewApiKey
public typealias NewRegistrationToken = HiveFFI.NewRegistrationToken
public typealias NewUser = HiveFFI.NewUser
public typealias PageRequest = HiveFFI.PageRequest
public typealias PowerAction = HiveFFI.PowerAction
public typealias Priority = HiveFFI.Priority
public typealias RegistrationToken = HiveFFI.RegistrationToken
public typealias Satellite = HiveFFI.Satellite
public typealias SatelliteEvent = HiveFFI.SatelliteEvent
public typealias SatelliteFilter = HiveFFI.SatelliteFilter
public typealias SatelliteScope = HiveFFI.SatelliteScope
public typealias SatelliteUpdate = HiveFFI.SatelliteUpdate
public typealias Session = HiveFFI.Session
public typealias SessionOptions = HiveFFI.SessionOptions
public typealias Size = HiveFFI.Size
public typealias Team = HiveFFI.Team
public typealias TeamMember = HiveFFI.TeamMember
public typealias TerminalEvent = HiveFFI.TerminalEvent
public typealias User = HiveFFI.User
public typealias ViewMode = HiveFFI.ViewMode

/// A line for the satellite's shell: `hive.exec("web-server-01", "uptime")`.
extension Command: ExpressibleByStringLiteral {
    public init(stringLiteral line: String) {
        self.init(command: line)
    }
}

extension Command {
    /// A program and its arguments, without a shell.
    public init(program: String, _ arguments: [String]) {
        self.init(command: program, args: arguments)
    }
}

extension CommandResult {
    /// Whether the program ended with 0.
    public var isSuccess: Bool { status == "succeeded" }

    /// Standard output as text; bytes that are not UTF-8 are replaced.
    public var text: String { String(decoding: stdout, as: UTF8.self) }
}
