// swift-tools-version:5.9
//
// `cargo xtask swift` writes the whole package into target/swift, with what is generated: the C header and its module map
// (CHiveFFI) and the Swift sources over it (HiveFFI).

import PackageDescription

let examples = ["Exec", "FanOut", "Terminal", "Embedded"]

let package = Package(
    name: "SatelliteHive",
    platforms: [.macOS(.v13), .iOS(.v16)],
    products: [.library(name: "SatelliteHive", targets: ["SatelliteHive"])],
    targets: [
        .systemLibrary(name: "CHiveFFI"),
        .target(name: "HiveFFI", dependencies: ["CHiveFFI"], linkerSettings: [.linkedLibrary("hive_ffi")]),
        .target(name: "SatelliteHive", dependencies: ["HiveFFI"]),
        .testTarget(name: "SatelliteHiveTests", dependencies: ["SatelliteHive"]),
    ] + examples.map { .executableTarget(name: "\($0)Example", dependencies: ["SatelliteHive"]) }
)
