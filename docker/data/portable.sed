# For sed --regexp-extended: the statements of a dump for a server of another version. Columns have options,
# pg_..., that a server of 17 sets by itself, and that one of 18 refuses.
/^ALTER TABLE ONLY .+ ALTER COLUMN .+ SET \(.+\);$/ {
    s/\);$/, );/
    :next
    s/([( ])pg_[a-z_]+=[^,)]*, /\1/
    t next
    / SET \(\);$/d
    s/, \);$/);/
}
