//! What every hive does, asked of both: one in this process, and the same one from elsewhere.
//!
//! Each claim is written once, over `&dyn HiveApi`, and is two tests: `embedded` asks `ActingHive`, `remote` asks
//! `RemoteHive` through the server. Behind both is a real satellite. Two more ask through a proxy behind which the server, or
//! the satellite, speaks as a later version does. [`refusals`] asks both the same impossible things and
//! compares the errors field by field.

mod audit;
mod commands;
mod ends;
mod identity;
mod jobs;
mod refusals;
mod registry;
mod sessions;
mod world;

use world::BehaviourWorld;

/// Makes the tests of each claim.
macro_rules! claims {
    ($($claim:ident),* $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    Box::pin(super::$claim(super::BehaviourWorld::embedded().await)).await;
                }
            )*
        }

        mod remote {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    Box::pin(super::$claim(super::BehaviourWorld::remote().await)).await;
                }
            )*
        }

        mod behind_a_later_server {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    Box::pin(super::$claim(super::BehaviourWorld::later(hive_testkit::Later::Server).await)).await;
                }
            )*
        }

        mod before_a_later_satellite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    Box::pin(super::$claim(super::BehaviourWorld::later(hive_testkit::Later::Client).await)).await;
                }
            )*
        }
    };
}

use claims;
