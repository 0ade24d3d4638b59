//! Statements for groups of satellites.

use crate::sql::many_rows::ManyRowsStatement;

macro_rules! group_columns {
    () => {
        "id, name, team_id, query, created_at, updated_at"
    };
}

pub(in crate::sql) const GROUP_INSERT: &str =
    concat!("INSERT INTO satellite_groups (", group_columns!(), ") VALUES ($1, $2, $3, $4, $5, $5)");
pub(in crate::sql) const GROUP_GET: &str = concat!("SELECT ", group_columns!(), " FROM satellite_groups WHERE id = $1");
pub(in crate::sql) const GROUP_FIND: &str =
    concat!("SELECT ", group_columns!(), " FROM satellite_groups WHERE name = $1 ORDER BY id");
pub(in crate::sql) const GROUP_LIST: &str = concat!("SELECT ", group_columns!(), " FROM satellite_groups g");
pub(in crate::sql) const GROUP_ROWS_COUNTED: &str = counted!("satellite_groups g");
pub(in crate::sql) const GROUP_UPDATE: &str = concat!(
    "UPDATE satellite_groups SET name = COALESCE($2, name), query = CASE WHEN $3 THEN $4 ELSE query END, updated_at = $5 \
     WHERE id = $1 RETURNING ",
    group_columns!()
);
pub(in crate::sql) const GROUP_REMOVE: &str = "DELETE FROM satellite_groups WHERE id = $1";
// The condition on the satellite: a reference alone would accept one that is removed and whose row is still kept.
pub(in crate::sql) static GROUP_MEMBER_INSERT: ManyRowsStatement = ManyRowsStatement::new(
    "grp, satellite",
    "INSERT INTO satellite_group_members (group_id, satellite_id) SELECT v.grp, s.id FROM v CROSS JOIN satellites s \
     WHERE s.id = v.satellite AND s.deleted_at IS NULL ON CONFLICT DO NOTHING",
);
pub(in crate::sql) static GROUP_MEMBER_DELETE: ManyRowsStatement = ManyRowsStatement::new(
    "grp, satellite",
    "DELETE FROM satellite_group_members WHERE (group_id, satellite_id) IN (SELECT v.grp, v.satellite FROM v)",
);
pub(in crate::sql) const GROUP_MEMBERS_CLEAR: &str = "DELETE FROM satellite_group_members WHERE group_id = $1";
pub(in crate::sql) const SATELLITE_GROUPS_LEAVE: &str = "DELETE FROM satellite_group_members WHERE satellite_id = $1";
