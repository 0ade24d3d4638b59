//! What every hive does, asked of both: one in this process, and the same one from elsewhere.
//!
//! Each claim is written once, over `&dyn HiveApi`, and is two tests: `embedded` asks `ActingHive`, `remote` asks
//! `RemoteHive` through the server. Behind both is a real satellite. [`refusals`] asks both the same impossible things and
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

use world::World;

/// Makes two tests of each claim.
macro_rules! claims {
    ($($claim:ident),* $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    Box::pin(super::$claim(super::World::embedded().await)).await;
                }
            )*
        }

        mod remote {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    Box::pin(super::$claim(super::World::remote().await)).await;
                }
            )*
        }
    };
}

use claims;
