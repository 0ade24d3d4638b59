//! Structs of settings and of new rows, to which later versions add fields.

/// Declares a struct that other crates cannot build from its fields, so that a new field breaks none of them. For each field it
/// adds a method of the same name that sets the field and returns the struct.
///
/// ```
/// hive_wire::with_setters! {
///     /// The settings of a thing.
///     #[derive(Debug, Default)]
///     pub struct ThingSettings {
///         /// How many there may be.
///         pub limit: u32,
///         /// What it is called.
///         pub title: String,
///     }
/// }
///
/// let settings = ThingSettings::default().limit(3);
/// assert_eq!(settings.limit, 3);
/// ```
#[macro_export]
macro_rules! with_setters {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$doc:meta])* pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[non_exhaustive]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl $name {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $field(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}
