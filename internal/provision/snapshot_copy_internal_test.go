package provision

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	static "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rds"
)

// TestACopyWaitsForTheDeletionOfTheOneThatFailed has RDS take a moment to delete a copy.
func TestACopyWaitsForTheDeletionOfTheOneThatFailed(t *testing.T) {
	t.Parallel()
	status := "failed"
	refuse := func(w http.ResponseWriter, code string) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>Cannot create the snapshot because a snapshot with the identifier already exists.</Message></Error></ErrorResponse>`, code)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		switch action := form.Get("Action"); {
		case action == "DescribeDBSnapshots" && status == "":
			refuse(w, "DBSnapshotNotFound")
		case action == "DescribeDBSnapshots":
			fmt.Fprintf(w, `<DescribeDBSnapshotsResponse><DescribeDBSnapshotsResult><DBSnapshots><DBSnapshot><Status>%s</Status><TagList><Tag><Key>%s</Key><Value>book</Value></Tag></TagList></DBSnapshot></DBSnapshots></DescribeDBSnapshotsResult></DescribeDBSnapshotsResponse>`, status, TagStack)
		case action == "DeleteDBSnapshot":
			status = "deleting"
			fmt.Fprint(w, `<DeleteDBSnapshotResponse><DeleteDBSnapshotResult/></DeleteDBSnapshotResponse>`)
		case action == "CopyDBSnapshot" && status != "":
			refuse(w, "DBSnapshotAlreadyExists")
		case action == "CopyDBSnapshot":
			status = "creating"
			fmt.Fprint(w, `<CopyDBSnapshotResponse><CopyDBSnapshotResult/></CopyDBSnapshotResponse>`)
		}
	}))
	t.Cleanup(server.Close)
	client := rds.New(rds.Options{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: static.NewStaticCredentialsProvider("test", "test", "")})
	s := newSnapshotCopy(rdsAccess{identity: identity{stack: "book", region: "us-east-1"}, rds: client},
		Snapshot{elsewhere: "arn:aws:rds:us-east-1:111122223333:snapshot:books", Created: time.Unix(0, 0)})
	_, err := s.Create(t.Context())
	if _, passes := Transient(err); !passes || s.asked {
		t.Fatalf("while the one that failed is deleted, the copy is asked for: %t, and the error does not pass: %v", s.asked, err)
	}
	status = "" // now it is gone
	if _, err := s.Create(t.Context()); err != nil || !s.asked || status != "creating" {
		t.Errorf("the copy is %q: %v", status, err)
	}
}
