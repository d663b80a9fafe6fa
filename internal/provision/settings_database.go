package provision

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/pricing"
)

// databaseSettings are the database, and how tasks find it.
func databaseSettings() []Setting {
	return []Setting{
		{
			Flag: "no-database", JSON: "noDatabase", Value: Switch{Of: func(s *Settings) *bool { return &s.NoDatabase }},
			Help:     "create no database; a stack that has one keeps it",
			Example:  "true",
			Drives:   []ResourceField{{definitionPart, "environment DB_NAME"}},
			Costs:    []string{"database", "database storage", "database backups", "secret"},
			uses:     func(s Settings, u *pricing.Usage) { u.Database = !s.NoDatabase },
			recorded: onRoles,
			when:     func(s Settings) bool { return s.NoDatabase },
		},
		{
			Flag: "db-class", JSON: "dbClass", Value: Text{Of: func(s *Settings) *string { return &s.DBClass }, Default: "db.t4g.micro"},
			Help:    "instance class of the database",
			Example: "db.t4g.small",
			Drives:  []ResourceField{{databasePart, "class"}},
			Costs:   []string{"database"}, Restored: "class",
			uses: func(s Settings, u *pricing.Usage) { u.DBClass = s.DBClass },
			check: func(s Settings, refuse refusal) {
				refuse("db-class", !databaseClass.MatchString(s.DBClass), "database class %q: name one such as db.t4g.micro", s.DBClass)
			},
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.DBClass = aws.ToString(p.database.DBInstanceClass) },
		},
		{
			Flag: "db-storage", JSON: "dbStorage", Value: Number{Of: func(s *Settings) *int32 { return &s.DBStorage }, Default: 20},
			Help:    "storage of the database in GiB; it can't shrink",
			Example: "40",
			Drives:  []ResourceField{{databasePart, "storage"}},
			Costs:   []string{"database storage"}, Restored: "GiB",
			uses: func(s Settings, u *pricing.Usage) { u.DBStorage = s.DBStorage },
			check: func(s Settings, refuse refusal) {
				refuse("db-storage", s.DBStorage < 20 || s.DBStorage > 65536, "database storage %d GiB: gp3 storage is 20 to 65536 GiB", s.DBStorage)
			},
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.DBStorage = aws.ToInt32(p.database.AllocatedStorage) },
			moves:    true,
			// It can't shrink, and may have been raised by hand or by RDS.
			restore: func(from Snapshot, s *Settings) bool {
				s.DBStorage = max(tagNumber(from.tags, settingTag("db-storage"), 0), from.GiB, DefaultSettings().DBStorage)
				return true
			},
		},
		{
			Flag: "db-max-storage", JSON: "dbMaxStorage", Value: Number{Of: func(s *Settings) *int32 { return &s.DBMaxStorage }},
			Help:     "let the storage grow up to this many GiB; 0 turns growth off",
			Example:  "100",
			Drives:   []ResourceField{{databasePart, "storage-limit"}},
			Restored: "growth to GiB",
			check: func(s Settings, refuse refusal) {
				// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html
				refuse("db-storage db-max-storage", s.DBMaxStorage != 0 && (int64(s.DBMaxStorage)*10 < int64(s.DBStorage)*11 || s.DBMaxStorage > 65536),
					"database storage limit %d GiB: RDS wants it a tenth or more above the storage (%d GiB), and at most 65536 GiB", s.DBMaxStorage, s.DBStorage)
			},
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.DBMaxStorage = aws.ToInt32(p.database.MaxAllocatedStorage) },
		},
		{
			Flag: "db-version", JSON: "dbVersion", Value: Text{Of: func(s *Settings) *string { return &s.DBVersion }},
			Help:    "version of PostgreSQL, such as 17 or 17.4 (default: what RDS calls its default); a higher major version upgrades the database",
			Example: "17.99",
			Drives:  []ResourceField{{databasePart, "version"}},
			check: func(s Settings, refuse refusal) {
				refuse("db-version", s.DBVersion != "" && !databaseVersion.MatchString(s.DBVersion), "database version %q: name a version of PostgreSQL such as 17 or 17.4", s.DBVersion)
			},
			recorded: onDatabase,
			text:     Settings.dbVersion,
			live:     func(p parts, s *Settings) { s.DBVersion = MajorVersion(aws.ToString(p.database.EngineVersion)) },
			taken:    func(recorded string, s Settings) bool { return MajorVersion(recorded) == s.DBVersion },
		},
		{
			Flag: "db-name", JSON: "dbName", Value: Text{Of: func(s *Settings) *string { return &s.DBName }, Default: "books"}, Derived: true,
			Help:    "name of the database in the instance (default: books for bookapi, else app); an existing database keeps its name",
			Example: "orders",
			Drives:  []ResourceField{{databasePart, "name"}},
			check: func(s Settings, refuse refusal) {
				// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
				refuse("db-name", !databaseName.MatchString(s.DBName), "database name %q: RDS takes 1 to 63 letters, digits and _, and a letter first", s.DBName)
				refuse("db-name", reservedName(s.DBName) || reservedDatabase[strings.ToLower(s.DBName)], "database name %q: RDS reserves that word", s.DBName)
			},
			recorded: onDatabase,
			when:     func(s Settings) bool { return s.DBName != "books" },
			live: func(p parts, s *Settings) {
				if name := aws.ToString(p.database.DBName); name != "" {
					s.DBName = name
				}
			},
		},
		{
			Flag: "db-user", JSON: "dbUser", Value: Text{Of: func(s *Settings) *string { return &s.DBUser }, Default: "bookapi"}, Derived: true,
			Help:    "user that owns the database (default: bookapi for bookapi, else app); an existing database keeps its user",
			Example: "orders",
			Drives:  []ResourceField{{databasePart, "user"}},
			check: func(s Settings, refuse refusal) {
				refuse("db-user", !databaseName.MatchString(s.DBUser) || strings.HasPrefix(s.DBUser, "rds") || strings.HasPrefix(s.DBUser, "pg_"),
					"database user %q: RDS takes 1 to 63 letters, digits and _, a letter first, and keeps names that begin with rds and pg_", s.DBUser)
				refuse("db-user", reservedName(s.DBUser) || reservedUser[strings.ToLower(s.DBUser)], "database user %q: RDS reserves that word", s.DBUser)
			},
			recorded: onDatabase,
			when:     func(s Settings) bool { return s.DBUser != "bookapi" },
			live: func(p parts, s *Settings) {
				if name := aws.ToString(p.database.MasterUsername); name != "" {
					s.DBUser = name
				}
			},
		},
		{
			Flag: "db-env", JSON: "dbEnv", Value: Text{Of: func(s *Settings) *string { return &s.DBEnv }},
			Help:    "also give the container its database in these variables: NAME=endpoint, port, dbname, username, password, url or sslmode, separated by commas ('none' for none)",
			Example: "endpoint=endpoint,username=username",
			Choices: []string{"none"},
			Drives:  []ResourceField{{definitionPart, "tag bookctl:db-env"}},
			check: func(s Settings, refuse refusal) {
				_, err := parseDBEnv(s.DBEnv)
				refuse("db-env", err != nil, "database variables: %v", err)
				refuse("db-env", len(tagText(s.DBEnv)) > 256, "database variables of %d characters: that is too long to be recorded in a tag", len(s.DBEnv))
			},
			normalize: func(s *Settings) {
				s.DBEnv = unlessNone(strings.ReplaceAll(s.DBEnv, " ", ""))
			},
			recorded: withDefinition,
			when:     func(s Settings) bool { return s.DBEnv != "" },
			text:     func(s Settings) string { return tagText(s.DBEnv) },
			fromText: fromTagText,
		},
		{
			Flag: "db-multi-az", JSON: "dbMultiAZ", Value: Switch{Of: func(s *Settings) *bool { return &s.DBMultiAZ }},
			Help:    "keep a standby of the database in another zone",
			Example: "true",
			Drives:  []ResourceField{{databasePart, "multi-az"}},
			Costs:   []string{"database", "database storage"}, Restored: "standby",
			uses:     func(s Settings, u *pricing.Usage) { u.DBMultiAZ = s.DBMultiAZ },
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.DBMultiAZ = aws.ToBool(p.database.MultiAZ) },
		},
		{
			Flag: "db-insights", JSON: "dbInsights", Value: Switch{Of: func(s *Settings) *bool { return &s.DBInsights }},
			Help:     "turn Performance Insights on (database load by query)",
			Example:  "true",
			Drives:   []ResourceField{{databasePart, "insights"}},
			Restored: "Performance Insights",
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.DBInsights = aws.ToBool(p.database.PerformanceInsightsEnabled) },
		},
		{
			Flag: "backup-days", JSON: "backupDays", Value: Number{Of: func(s *Settings) *int32 { return &s.BackupDays }, Default: 7},
			Help:    "keep automated backups for this many days",
			Example: "14",
			Drives:  []ResourceField{{databasePart, "backup-retention"}},
			Costs:   []string{"database backups"}, Restored: "days of backups",
			uses: func(s Settings, u *pricing.Usage) { u.BackupDays = s.BackupDays },
			check: func(s Settings, refuse refusal) {
				refuse("backup-days", s.BackupDays < 1 || s.BackupDays > 35, "backup retention %d days: RDS keeps backups for 1 to 35 days", s.BackupDays)
			},
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.BackupDays = aws.ToInt32(p.database.BackupRetentionPeriod) },
			restore: func(from Snapshot, s *Settings) bool {
				recorded, ok := from.tags[settingTag("backup-days")]
				if n := number(recorded); from.backups > 0 || ok {
					s.BackupDays = max(aws.ToInt32(n), from.backups)
				}
				return from.backups > 0 || ok
			},
		},
		{
			Flag: "protect", JSON: "protect", Value: Switch{Of: func(s *Settings) *bool { return &s.Protect }},
			Help:     "turn deletion protection on; destroy then fails",
			Example:  "true",
			Drives:   []ResourceField{{databasePart, "deletion-protection"}, {balancerPart, deletionProtection}},
			Restored: "deletion protection",
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.Protect = aws.ToBool(p.database.DeletionProtection) },
		},
	}
}
