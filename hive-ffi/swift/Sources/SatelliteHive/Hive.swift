//  The hive, embedded or remote.

import Foundation
import HiveFFI

/// A hive: a remote one (`connect`, `login`), or one in this process (`open`).
///
/// Both have the same calls. Every error is a `HiveError`. A satellite is given by its name or id, a target also as `tag:x` or `all`.
/// A call that has started is waited for, also by a cancelled task. Streams end with their task.
public final class Hive: Sendable {
    let inner: HiveFFI.Hive

    init(_ inner: HiveFFI.Hive) {
        self.inner = inner
    }

    /// Names a remote hive by its URL, and acts on it with an API key. Nothing is sent yet. The first call refuses an invalid URL.
    public static func connect(url: String, apiKey: String) throws -> Hive {
        Hive(try HiveFFI.Hive.connect(url: url, apiKey: apiKey))
    }

    /// Logs in to a remote hive with a password, and acts on it as that user until the login ends.
    public static func login(url: String, username: String, password: String) async throws -> Hive {
        Hive(try await HiveFFI.Hive.login(url: url, username: username, password: password))
    }

    /// A hive in this process with its data in a directory; without one, in memory. The first call opens it.
    public static func open(path: String? = nil) throws -> Hive {
        Hive(try HiveFFI.Hive.open(path: path))
    }

    /// Lets satellites and clients reach a hive in this process over HTTP. Port 0 takes a free port.
    ///
    /// The end of the server closes the hive: its satellites were told to reconnect, and it does not accept them again.
    public func serve(_ address: String = "127.0.0.1:3000") async throws -> Server {
        Server(try await inner.serve(address: address))
    }

    /// Ends the work of this object, and waits for it. A remote hive keeps running.
    public func close() async throws {
        try await inner.close()
    }
}

/// A server of a hive in this process. It ends with its object.
public final class Server: Sendable {
    let inner: HiveFFI.Server

    init(_ inner: HiveFFI.Server) {
        self.inner = inner
    }

    /// The URL that it listens on.
    public var url: String { inner.url() }

    /// Answers the open requests, tells the satellites to reconnect, and closes the hive.
    public func stop() async throws {
        try await inner.stop()
    }
}

// MARK: Satellites

extension Hive {
    /// The satellites that the caller may see and that match the filter, by name.
    public func satellites(_ filter: SatelliteFilter = SatelliteFilter()) async throws -> [Satellite] {
        try await inner.satelliteList(filter: filter)
    }

    /// The satellite with this name or id.
    public func satellite(_ name: String) async throws -> Satellite {
        try await inner.satelliteGet(satellite: name)
    }

    /// Changes a satellite.
    @discardableResult
    public func update(_ satellite: String, _ update: SatelliteUpdate) async throws -> Satellite {
        try await inner.satelliteUpdate(satellite: satellite, update: update)
    }

    /// Removes a satellite. Its key is invalid, its link ends, and its open commands are cancelled or of unknown outcome.
    public func remove(_ satellite: String) async throws {
        try await inner.satelliteRemove(satellite: satellite)
    }

    /// Ends a satellite's link. The satellite reconnects unless it was removed.
    public func disconnect(_ satellite: String) async throws {
        try await inner.satelliteDisconnect(satellite: satellite)
    }

    /// What happens to satellites from now on.
    public func events() async throws -> Events<SatelliteEvent> {
        Events(source: EventSource(try await inner.satelliteEvents()))
    }
}

// MARK: Commands and jobs

extension Hive {
    /// Runs a command on one satellite and waits for its end. A program that fails is a result.
    public func exec(_ satellite: String, _ command: Command) async throws -> CommandResult {
        try await inner.exec(satellite: satellite, command: command)
    }

    /// Runs a command on many satellites and waits for all of them.
    public func exec(on targets: [String], _ command: Command, concurrency: UInt32? = nil) async throws -> [CommandResult] {
        try await inner.execMany(targets: targets, command: command, concurrency: concurrency)
    }

    /// The same, with the events as they happen.
    public func stream(on targets: [String], _ command: Command, concurrency: UInt32? = nil) async throws -> Events<ExecEvent> {
        let events = try await inner.execStream(targets: targets, command: command, concurrency: concurrency)
        return Events(source: EventSource(events))
    }

    /// Runs a command on many satellites as a job, reports its progress, and returns all results.
    ///
    /// `progress` is called on a thread of the library. The job continues without its caller.
    public func fanOut(
        to targets: [String],
        _ command: Command,
        options: FanOutOptions = FanOutOptions(),
        progress: (@Sendable (JobEvent) -> Void)? = nil
    ) async throws -> FanOut {
        let observer = progress.map { ProgressCall($0) }
        return try await inner.fanOut(targets: targets, command: command, options: options, progress: observer)
    }

    /// Stores a command for a satellite, online or not, and returns its id at once.
    public func submit(_ satellite: String, _ command: Command) async throws -> String {
        try await inner.submit(satellite: satellite, command: command)
    }

    /// Changes a machine's power state, and waits until the satellite reports that the change has started.
    @discardableResult
    public func power(
        _ satellite: String, _ action: PowerAction, delay seconds: UInt32 = 0, message: String? = nil
    ) async throws -> CommandResult {
        try await inner.power(satellite: satellite, action: action, delaySeconds: seconds, message: message)
    }

    /// A command with its output so far.
    public func command(_ id: String) async throws -> CommandInfo? {
        try await inner.commandGet(command: id)
    }

    /// Cancels a command: a queued one at once, a running one when its process tree is gone.
    @discardableResult
    public func cancel(command id: String) async throws -> CommandInfo {
        try await inner.commandCancel(command: id)
    }

    /// Stores a job and starts it.
    public func submit(
        job targets: [String], _ command: Command, options: FanOutOptions = FanOutOptions()
    ) async throws -> Job {
        try await inner.jobSubmit(targets: targets, command: command, options: options)
    }

    /// A job.
    public func job(_ id: String) async throws -> Job? {
        try await inner.jobGet(job: id)
    }

    /// Jobs, newest first.
    public func jobs(page: PageRequest = PageRequest()) async throws -> [Job] {
        try await inner.jobList(page: page)
    }

    /// All satellites of a job by name.
    public func targets(ofJob id: String) async throws -> [JobTarget] {
        try await inner.jobTargetList(job: id)
    }

    /// Cancels a job. Does not wait for its end.
    @discardableResult
    public func cancel(job id: String) async throws -> Job {
        try await inner.jobCancel(job: id)
    }

    /// The events of a job until it has ended, beginning with what has happened already.
    public func watch(job id: String) async throws -> Events<JobEvent> {
        Events(source: EventSource(try await inner.jobWatch(job: id)))
    }
}

/// A closure as the library calls it.
private final class ProgressCall: JobProgress {
    private let call: @Sendable (JobEvent) -> Void

    init(_ call: @escaping @Sendable (JobEvent) -> Void) {
        self.call = call
    }

    func onEvent(event: JobEvent) {
        call(event)
    }
}

// MARK: Sessions

extension Hive {
    /// Opens a session on a satellite, and attaches to it.
    public func terminal(on satellite: String, options: SessionOptions = SessionOptions()) async throws -> Terminal {
        let session = try await inner.sessionCreate(satellite: satellite, options: options)
        return try await attach(session.id, size: options.size)
    }

    /// Attaches to a session.
    public func attach(_ session: String, mode: ViewMode = .control, size: Size? = nil) async throws -> Terminal {
        Terminal(try await inner.sessionAttach(session: session, mode: mode, size: size))
    }

    /// Sessions, newest first; ended ones only with `ended`.
    public func sessions(on satellite: String? = nil, ended: Bool = false) async throws -> [Session] {
        try await inner.sessionList(satellite: satellite, ended: ended)
    }

    /// Ends a session with its process tree.
    public func terminate(session id: String) async throws {
        try await inner.sessionTerminate(session: id)
    }
}

// MARK: Any other call

extension Hive {
    /// Calls a path of a remote hive's API, for what has no method of its own, and returns the JSON of the answer.
    ///
    /// `GET /api/v1/openapi.json` describes all paths; a query is part of the path.
    public func request(_ method: String, _ path: String, json: String? = nil) async throws -> String {
        try await inner.request(method: method, path: path, json: json)
    }
}

// MARK: The audit log

extension Hive {
    /// Audit records, newest first.
    public func audit(_ filter: AuditFilter = AuditFilter(), page: PageRequest = PageRequest()) async throws -> [AuditEntry] {
        try await inner.auditQuery(filter: filter, page: page)
    }

    /// The whole log. Each element is a line of JSON; the last one is the signed manifest.
    public func auditLines() async throws -> Events<String> {
        Events(source: EventSource(try await inner.auditExport()))
    }

    /// Verifies the stored log from its first record to its last.
    public func verifyAudit() async throws -> AuditVerification {
        try await inner.auditVerify()
    }

    /// Verifies an exported log, without a hive.
    public static func verifyAudit(file path: String, publicKey: String? = nil) async throws -> AuditVerification {
        try await auditVerifyFile(path: path, publicKey: publicKey)
    }
}

// MARK: Users, teams and credentials

extension Hive {
    /// Who the caller is.
    public func me() async throws -> Me {
        try await inner.me()
    }

    /// Makes a team.
    public func createTeam(_ slug: String) async throws -> Team {
        try await inner.teamCreate(slug: slug)
    }

    /// The caller's teams; a global admin sees all.
    public func teams() async throws -> [Team] {
        try await inner.teamList()
    }

    /// Makes an API key for the caller. The options limit it.
    public func createApiKey(
        _ name: String,
        expiresInHours: UInt32? = nil,
        scopes: [String]? = nil,
        satellites: [String]? = nil,
        addresses: [String]? = nil
    ) async throws -> NewApiKey {
        let options = ApiKeyOptions(
            expiresInHours: expiresInHours,
            scopes: scopes,
            satellites: satellites,
            addresses: addresses
        )
        return try await inner.apiKeyCreate(name: name, options: options)
    }

    /// The caller's API keys.
    public func apiKeys() async throws -> [ApiKey] {
        try await inner.apiKeyList()
    }

    /// Revokes one of the caller's API keys, at once.
    public func revoke(apiKey id: String) async throws {
        try await inner.apiKeyRevoke(key: id)
    }

    /// Makes a registration token, for the registration of one satellite of the whole hive or of a team.
    ///
    /// The satellite gets `tags`, and may claim those that match a pattern of `allowedTags`. `forSatellite` names the satellite
    /// that it may take over, online or not. Without it, the token registers a new satellite, or takes over one that is offline.
    public func createRegistrationToken(
        team: String? = nil, expiresInHours: UInt32? = nil, description: String? = nil, tags: [String] = [],
        allowedTags: [String] = [], forSatellite: String? = nil
    ) async throws -> NewRegistrationToken {
        try await inner.registrationTokenCreate(
            options: RegistrationTokenOptions(
                teamId: team, expiresInHours: expiresInHours, description: description, tags: tags, allowedTags: allowedTags,
                forSatellite: forSatellite))
    }

    /// Adds a user.
    public func createUser(_ username: String, isAdmin: Bool = false) async throws -> NewUser {
        try await inner.userCreate(username: username, isAdmin: isAdmin)
    }

    /// Users, by name.
    public func users() async throws -> [User] {
        try await inner.userList()
    }

    /// Changes a user, named by their id or login name.
    @discardableResult
    public func update(user: String, isAdmin: Bool? = nil, disabled: Bool? = nil) async throws -> User {
        try await inner.userUpdate(user: user, isAdmin: isAdmin, disabled: disabled)
    }

    /// Gives a user a random password. This is the only time that it is shown.
    public func resetPassword(user: String) async throws -> String {
        try await inner.userPasswordReset(user: user)
    }

    /// Changes the caller's password. All logins end; API keys stay.
    public func changePassword(current: String, new: String) async throws {
        try await inner.passwordChange(current: current, new: new)
    }

    /// The members of a team, named by its id or slug.
    public func members(ofTeam team: String) async throws -> [TeamMember] {
        try await inner.teamMemberList(team: team)
    }

    /// Makes a user a member of a team, or changes their role: `viewer`, `operator` or `admin`.
    @discardableResult
    public func put(member username: String, inTeam team: String, role: String) async throws -> TeamMember {
        try await inner.teamMemberPut(team: team, username: username, role: role)
    }

    /// Removes a user from a team.
    public func remove(member user: String, fromTeam team: String) async throws {
        try await inner.teamMemberRemove(team: team, user: user)
    }

    /// Gives one of the caller's API keys another secret. The former secret is valid for the overlap.
    public func rotate(apiKey id: String, overlapSeconds: UInt32 = 0) async throws -> NewApiKey {
        try await inner.apiKeyRotate(key: id, overlapSeconds: overlapSeconds)
    }

    /// Makes an API key for a user of a hive in this process.
    public func createApiKey(for username: String, _ name: String) async throws -> NewApiKey {
        try await inner.userApiKeyCreate(username: username, name: name)
    }

    /// The registration tokens that the caller may manage, newest first.
    public func registrationTokens() async throws -> [RegistrationToken] {
        try await inner.registrationTokenList()
    }

    /// Revokes a registration token that was not used yet.
    public func revoke(registrationToken id: String) async throws {
        try await inner.registrationTokenRevoke(token: id)
    }
}
