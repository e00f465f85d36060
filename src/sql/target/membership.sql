-- The grants of a role ($1) to another ($2), each of which matches all if it is NULL: a row for each grantor, with the options that servers
-- from 16 on have, read through JSON, and whether the member has INHERIT, which is the default of the INHERIT option. The grantor is NULL
-- if it is the bootstrap superuser, or before 16, where it has no meaning; only a superuser can grant in the name of any role.
SELECT g.rolname::text AS granted,
       m.rolname::text AS member,
       a.admin_option AS admin_option,
       (to_jsonb(a) ->> 'inherit_option')::bool AS inherit_option,
       (to_jsonb(a) ->> 'set_option')::bool AS set_option,
       m.rolinherit AS member_inherits,
       CASE WHEN to_jsonb(a) ->> 'set_option' IS NOT NULL AND a.grantor <> 10
            THEN pg_catalog.pg_get_userbyid(a.grantor)::text END AS grantor,
       (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) AS may_choose_grantor
FROM pg_catalog.pg_auth_members a
JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
JOIN pg_catalog.pg_roles m ON m.oid = a.member
WHERE (g.rolname = $1 OR $1 IS NULL) AND (m.rolname = $2 OR $2 IS NULL)
