package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TagSecretVersion is the tag of the database that holds the version of the secret whose
// password the database was last given, and of the service with which its tasks
// were started. RDS never returns a password, and a task reads the secret when it
// starts and never again, so this is how one that differs from the secret is
// seen; a version id gives nothing away.
const TagSecretVersion = "bookctl:secret-version" //nolint:gosec // the name of a tag

// secretVersion is the version of the secret that tasks are to be started with,
// or "" while there is none.
func (d *Database) secretVersion() string {
	if live := d.Last(); live != nil {
		return live.current
	}
	return ""
}

// connected is what the secret should say, given what it says and the instance.
func (d *Database) connected(c credentials, db *types.DBInstance) credentials {
	c.Engine = d.secret.initial.Engine
	c.Username, c.DBName = aws.ToString(db.MasterUsername), aws.ToString(db.DBName)
	c = c.at(db.Endpoint)
	if portOfItsOwn(db.Endpoint) {
		c.Port = postgresPort // to which it goes back, where somebody has moved it
	}
	c.url, c.verifiedURL = c.asURL("require"), c.asURL(verifyFull)
	return c
}

// passwordSource is where the AWS CLI is to read a password from: an argument is shown to
// others on the machine, and kept in the shell's history.
// https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-parameters-file.html
type passwordSource struct {
	argument string // of the AWS CLI
	at       string // such as "on its input"
	from     string // the same behind "from", with what ends it
	example  string // what puts one there without a line end
}

// passwordsOn is the source on a system. On Windows no file is the input of a program.
func passwordsOn(system string) passwordSource {
	if system == "windows" {
		return passwordSource{
			argument: "file://password.txt", at: "in the file password.txt, which you delete again", from: "the file password.txt, which you delete again",
			example: "Set-Content password.txt -NoNewline -Encoding ascii writes one",
		}
	}
	return passwordSource{argument: "file:///dev/stdin", at: "on its input", from: "its input, up to Ctrl-D", example: "openssl rand -hex 20 | tr -d '\\n' prints one"}
}

// unmanaged returns what has RDS no longer set the password by itself, for which it needs
// another one. A line end is not part of a password.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
func (d rdsAccess) unmanaged(in passwordSource) hint.Message {
	return hint.New("%s turns that off, with a password for the meantime %s, without a line end (%s); then %s",
		hint.AWS("rds", "modify-db-instance", "--db-instance-identifier", d.databaseName(), "--no-manage-master-user-password", "--master-user-password", in.argument), in.at, in.example,
		hint.Command("db", "rotate-password"))
}

// firstCredentials are those of a new database. The secret is read unless this run has
// created it a moment ago.
func (d *Database) firstCredentials(ctx context.Context) (credentials, string, error) {
	if made := d.secret.created; made.version != "" {
		return made.credentials, made.version, nil
	}
	return d.credentials(ctx)
}

// credentials reads the secret, and which version of it that is.
func (d *Database) credentials(ctx context.Context) (credentials, string, error) {
	return readCredentials(ctx, d.secrets, d.secret.secretName())
}

// samePassword reports whether two versions of the secret hold the same password.
// One that Secrets Manager no longer has, as it keeps only the last two, is taken
// for another.
func (d *Database) samePassword(ctx context.Context, x, y string) (bool, error) {
	if x == "" || y == "" {
		return false, nil
	}
	if live := d.Last(); live != nil && live.samePassword == [2]string{x, y} {
		return true, nil
	}
	var passwords []string
	for _, version := range []string{x, y} {
		c, _, err := readVersion(ctx, d.secrets, d.secret.secretName(), &version)
		if IsCode(err, "ResourceNotFoundException") || errors.Is(err, errNoPassword) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		passwords = append(passwords, c.Password)
	}
	return passwords[0] == passwords[1], nil
}

// setPassword gives the instance the password of the secret and then notes
// which version that was. RDS resets it without an outage: connections that
// are open stay open. It does so at once without being asked to; asked, it would also
// apply what is scheduled for the maintenance window.
func (d rdsAccess) setPassword(ctx context.Context, secrets *secretsmanager.Client, secret, arn string) error {
	c, version, err := readCredentials(ctx, secrets, secret)
	if err != nil {
		return err
	}
	return d.givePassword(ctx, arn, c.Password, version)
}

// givePassword gives the instance a password, and notes the version of the secret that has it.
func (d rdsAccess) givePassword(ctx context.Context, arn, password, version string) error {
	if why := badPassword(password); why != "" {
		return hint.Add(fmt.Errorf("set the password of database %s: %s", d.databaseName(), why), newPassword())
	}
	_, err := d.rds.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: aws.String(d.databaseName()), MasterUserPassword: &password,
	})
	if err != nil {
		return fmt.Errorf("set the password of database %s: %w", d.databaseName(), err)
	}
	return d.noteVersion(ctx, arn, version)
}

func (d rdsAccess) noteVersion(ctx context.Context, arn, version string) error {
	_, err := d.rds.AddTagsToResource(ctx, &rds.AddTagsToResourceInput{
		ResourceName: &arn, Tags: toRDSTags(map[string]string{TagSecretVersion: version}),
	})
	if err != nil {
		return fmt.Errorf("note the secret's version on database %s: %w", d.databaseName(), err)
	}
	return nil
}

const addressInSecret = "address-in-secret" //nolint:gosec // the name of an attribute

// fillSecret writes into the secret where the database is, and keeps the
// password. That is a new version of the same password: unless it is wrong
// anyway, the instance's note moves along. Cut off in between, the next run
// sets the same password once more, which changes nothing.
func (d *Database) fillSecret(ctx context.Context, _ []graph.Change) error {
	live := *d.Last()
	wrong := live.secretVersion != live.current
	c, before := live.found, live.current
	c.urls = c.urls || d.options.urls
	version, err := d.secret.put(ctx, d.connected(c, live.instance))
	if err != nil {
		return err
	}
	live.samePassword = [2]string{before, version}
	d.Learn(&live)
	if wrong {
		return nil
	}
	if err := d.noteVersion(ctx, d.ID(), version); err != nil {
		return err
	}
	serving := live
	serving.current, serving.secretVersion, serving.connection = version, version, live.wanted.connection
	serving.serves, serving.servedAt = true, d.now()
	d.Learn(&serving)
	return nil
}

// RotatePassword gives the secret a new password and then the database. It
// returns when RDS has applied it, and reports to progress what it waits for; the caller then
// makes the service's tasks start again, since they read the secret when they start.
//
// A run can be cut off at any point: the secret is the truth, the note on
// the database shows that it has another's password, and the next up or
// rotation sets it. Open connections outlive the change, so tasks that hold
// theirs serve on until they are replaced; only a new connection of an old
// task is refused meanwhile.
func RotatePassword(ctx context.Context, c Clients, stack string, progress func(string)) error {
	d := rdsAccess{identity: identity{stack: stack}, rds: c.RDS}
	db, err := d.instance(ctx)
	if err != nil {
		return err
	}
	if db == nil {
		return hint.With(fmt.Errorf("stack %s has no database", stack), "%s makes it", hint.Command("up"))
	}
	if fromRDSTags(db.TagList)[TagStack] != stack {
		return fmt.Errorf("database %s: %w %s", d.databaseName(), graph.ErrUnmanaged, stack)
	}
	// One whose storage is being optimized, which may take a day, takes a password too:
	// https://repost.aws/knowledge-center/rds-stuck-in-storage-optimization
	if s := aws.ToString(db.DBInstanceStatus); s != "available" && s != "storage-optimization" {
		return fmt.Errorf("database %s is %q: its password can be changed when it is available", d.databaseName(), s)
	}
	if m := db.MasterUserSecret; m != nil { // it would refuse what the secret then has already
		return hint.Add(fmt.Errorf("database %s: RDS sets its password by itself, and keeps it in %s", d.databaseName(), cmp.Or(aws.ToString(m.SecretArn), "a secret of its own")), d.unmanaged(passwordsOn(runtime.GOOS)))
	}
	s := newSecret(d.identity, c.Secrets, "", "")
	st, err := s.Find(ctx)
	if err != nil {
		return err
	}
	if st.Phase == graph.Absent || st.Owner != stack {
		return fmt.Errorf("secret %s: %w %s", s.secretName(), graph.ErrUnmanaged, stack)
	}
	if hasField(st.Drift, "deletion") {
		if err := restoreSecret(ctx, s.secrets, s.secretName()); err != nil {
			return err
		}
	}
	// Whatever is in it, or is not, a rotation makes it right.
	current, _, err := readCredentials(ctx, c.Secrets, s.secretName())
	if err != nil && !errors.Is(err, errNoPassword) && !IsCode(err, "ResourceNotFoundException") {
		return err
	}
	if current.Password, err = s.random(ctx); err != nil {
		return err
	}
	current.Engine, current.Username, current.DBName = s.initial.Engine, aws.ToString(db.MasterUsername), aws.ToString(db.DBName)
	// A run that was cut off may not have put the address into it yet.
	version, err := s.put(ctx, current.at(db.Endpoint))
	if err != nil {
		return err
	}
	// The tasks are to read the same.
	err = awaitVersion(ctx, c.Secrets, s.secretName(), version)
	if err == nil {
		err = d.givePassword(ctx, aws.ToString(db.DBInstanceArn), current.Password, version)
	}
	if err != nil {
		return hint.With(err, "the secret has the new password already: %s gives it to the database", hint.Command("up"))
	}
	return hint.With(d.passwordApplied(ctx, progress), "the secret has the new password already: once the database serves, %s gives it to the tasks", hint.Command("up"))
}

// passwordTimeout is how long RDS may take to set a password, which usually takes it a minute.
const passwordTimeout = 15 * time.Minute

// passwordPending reports whether RDS has yet to set the password it was given.
func passwordPending(db *types.DBInstance) bool {
	p := db.PendingModifiedValues
	return p != nil && p.MasterUserPassword != nil
}

// passwordApplied waits until the database serves and no password is pending: RDS sets it
// in the background, usually within a minute.
func (d rdsAccess) passwordApplied(ctx context.Context, progress func(string)) error {
	begun, lastNote := time.Now(), ""
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		db, err := d.instance(ctx)
		status := unanswered(err)
		note := status
		switch {
		case status != "": // which is no phase, and waited for
		case err != nil:
			return err
		case db == nil:
			return fmt.Errorf("database %s is gone", d.databaseName())
		default:
			status = aws.ToString(db.DBInstanceStatus)
			note = "database " + status
		}
		switch phase := databasePhase(status); {
		case phase == graph.Ready && !passwordPending(db):
			return nil
		case phase == graph.Unrecoverable, phase == graph.Terminating:
			return fmt.Errorf("database %s is %q, and has not got its new password", d.databaseName(), status)
		case time.Since(begun) > passwordTimeout:
			return fmt.Errorf("database %s: %w: %q, without its new password after %s", d.databaseName(), graph.ErrTimeout, status, passwordTimeout)
		}
		if note != lastNote {
			progress(note)
			lastNote = note
		}
		if err := graph.Sleep(ctx, pause); err != nil {
			return fmt.Errorf("database %s is %q, and has not got its new password: %w", d.databaseName(), status, err)
		}
	}
}

// readCredentials reads a secret, and which version of it is current.
func readCredentials(ctx context.Context, secrets *secretsmanager.Client, name string) (credentials, string, error) {
	return readVersion(ctx, secrets, name, nil)
}

// readVersion reads a version of a secret, the current one for nil.
func readVersion(ctx context.Context, secrets *secretsmanager.Client, name string, version *string) (credentials, string, error) {
	out, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionId: version})
	if err != nil {
		return credentials{}, "", fmt.Errorf("read secret %s: %w", name, err)
	}
	c, err := parseCredentials(aws.ToString(out.SecretString))
	if err != nil {
		return c, "", hint.Add(fmt.Errorf("secret %s: %w", name, err), newPassword())
	}
	return c, aws.ToString(out.VersionId), nil
}
