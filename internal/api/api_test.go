package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/api"
	"github.com/bookctl/bookctl/internal/api/database"
)

// TestAPI runs everything that needs no fault on one database.
func TestAPI(t *testing.T) {
	t.Parallel()
	s := serve(t, newDatabase(t))
	for name, test := range map[string]func(*testing.T, *service){
		"a stored book is found by its name and number":     storeAndFind,
		"any name works in the path":                        anyName,
		"the first of several books of a name is found":     firstOfName,
		"every wrong field is named at once":                validation,
		"what can't be stored is refused, never a failure":  hostileInput,
		"no update is lost":                                 etags,
		"a retry with its key stores once":                  idempotency,
		"a batch is stored whole or not at all":             batches,
		"pages hold every book once":                        paging,
		"the prefix search ignores case":                    prefixes,
		"concurrent inserts and lookups don't mix":          concurrency,
		"every answer has an id, and the log has it too":    requestIDs,
		"metrics count what happened":                       metricsShown,
		"wrong paths and methods are problems too":          wrongPaths,
		"a migrated database is left as it is by a restart": migrateAgain,
		"a query that no operation knows changes nothing":   unknownQuery,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

func storeAndFind(t *testing.T, s *service) {
	a := s.send(t, "POST", "/books", bookJSON("Store And Find", "A")).want(t, 201)
	b := a.book(t)
	if b.ID < 1 || b.Name != "Store And Find" || b.Author != "A" || b.Created == "" || b.Updated != b.Created {
		t.Errorf("stored %+v", b)
	}
	if want := fmt.Sprintf("/books/id/%d", b.ID); a.header.Get("Location") != want {
		t.Errorf("Location %q, want %q", a.header.Get("Location"), want)
	}
	for _, path := range []string{a.header.Get("Location"), "/books/Store%20And%20Find"} {
		got := s.send(t, "GET", path, "").want(t, 200)
		if got.body != a.body || got.header.Get("ETag") != a.header.Get("ETag") {
			t.Errorf("GET %s: %s, want %s", path, got.body, a.body)
		}
		s.send(t, "GET", path, "", "If-None-Match: "+a.header.Get("ETag")).want(t, 304)
		s.send(t, "GET", path, "", `If-None-Match: W/`+a.header.Get("ETag")).want(t, 304)
		s.send(t, "GET", path, "", `If-None-Match: "0-0"`).want(t, 200)
	}
	missing := s.send(t, "GET", "/books/nobody%20wrote%20this", "").want(t, 404)
	if missing.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(missing.body, `"status":404`) {
		t.Errorf("a missing book: %s %s", missing.header.Get("Content-Type"), missing.body)
	}
}

func anyName(t *testing.T, s *service) {
	for _, name := range []string{
		"a/b", "/", "//", ".", "..", "../..", "a.b", " ", "a b ", "id", "batch", "id/5", "100%", "%2F", "a+b", "?q=1", "#x", "\"quoted\\\"",
		"😀", strings.Repeat("😀", 1000), strings.Repeat("x", 1000), "Ünï\u2028cödé\u2029", "<b>", "tab\tnew\nline\x7f", "'; DROP TABLE books; --",
	} {
		stored := s.send(t, "POST", "/books", bookJSON(name, name)).want(t, 201).book(t)
		if stored.Name != name || stored.Author != name {
			t.Errorf("stored %+v, want the name %q", stored, name)
		}
		got := s.send(t, "GET", "/books/"+url.PathEscape(name), "").want(t, 200).book(t)
		if got.Name != name {
			t.Errorf("GET of %q found %q", name, got.Name)
		}
	}
	s.send(t, "POST", "/books", bookJSON("plain/slash", "x")).want(t, 201)
	s.send(t, "GET", "/books/plain/slash", "").want(t, 200)
}

func firstOfName(t *testing.T, s *service) {
	first := s.send(t, "POST", "/books", bookJSON("Twice", "first")).want(t, 201).book(t)
	s.send(t, "POST", "/books", bookJSON("Twice", "second")).want(t, 201)
	s.send(t, "POST", "/books", bookJSON("twice", "other case")).want(t, 201)
	if got := s.send(t, "GET", "/books/Twice", "").want(t, 200).book(t); got != first {
		t.Errorf("got %+v, want %+v", got, first)
	}
}

type problemDocument struct {
	Title, Detail string
	Status        int
	Errors        []struct{ Message, Location string }
}

func (a answer) locations(t *testing.T) (all []string) {
	t.Helper()
	var p problemDocument
	a.decode(t, &p)
	if a.header.Get("Content-Type") != "application/problem+json" || p.Status != a.status || p.Detail == "" {
		t.Errorf("not a problem document: %s %s", a.header.Get("Content-Type"), a.body)
	}
	for _, e := range p.Errors {
		all = append(all, e.Location)
	}
	slices.Sort(all)
	return all
}

func validation(t *testing.T, s *service) {
	long := strings.Repeat("x", 1001)
	for body, want := range map[string][]string{
		`{"name":"","author":""}`:             {"body.author", "body.name"},
		`{"name":1,"author":null}`:            {"body.author", "body.name"},
		`{}`:                                  {"body", "body"},
		`{"name":"a","author":"b","pages":3}`: {"body.pages"},
		`{"Name":"a","author":"b"}`:           {"body", "body.Name"},
		`[]`:                                  {"body"},
		`{"name":"` + long + `","author":"` + long + `"}`:  {"body.author", "body.name"},
		`{"name":"a\u0000b","author":"` + "\\u0000" + `"}`: {"body.author", "body.name"},
	} {
		got := s.send(t, "POST", "/books", body).want(t, 422).locations(t)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.60s: wrong fields (-want +got):\n%s", body, diff)
		}
	}
	for query, want := range map[string]string{
		"limit=0": "query.limit", "limit=x": "query.limit", "limit=201": "query.limit", "cursor=%21": "query.cursor",
		"q=a&name=b": "query.q", "name=%00": "query.name", "author=%FF": "query.author",
	} {
		if got := s.send(t, "GET", "/books?"+query, "").want(t, 422).locations(t); len(got) != 1 || got[0] != want {
			t.Errorf("?%s: wrong fields %v, want %s", query, got, want)
		}
	}
	s.send(t, "GET", "/books/"+long, "").want(t, 422)
}

func hostileInput(t *testing.T, s *service) {
	for body, status := range map[string]int{
		"{\"name\":\"\xff\",\"author\":\"b\"}":         400,
		`{"name":"\ud800","author":"b"}`:               400,
		`{"name":"\udc00\ud800","author":"b"}`:         400,
		`{"name":"\ud83d\ude00 \\ud800","author":"b"}`: 201,
		`{"name":"a","author":"b"}{}`:                  400,
		`{"name":"a","author":"b"`:                     400,
		`{"name":"a","author":"` + "\n" + `"}`:         400,
		strings.Repeat("[", 20_000):                    400,
		"\x00":                                         400,
		strings.Repeat(" ", 65<<10):                    413,
	} {
		a := s.send(t, "POST", "/books", body).want(t, status)
		if status != 201 {
			a.locations(t)
		}
	}
	s.send(t, "POST", "/books", "", "Content-Type: application/json").want(t, 400)
	s.send(t, "POST", "/books", bookJSON("a", "b"), "Content-Type: text/plain").want(t, 415)
	s.send(t, "POST", "/books", bookJSON("a", "b"), "Content-Type: application/json; charset=utf-8").want(t, 201)
	for _, path := range []string{"/books/%00", "/books/%FF", "/books/a%00b", "/books/%C3%28", "/books/id/x", "/books/id/99999999999999999999", "/books/id/0"} {
		s.send(t, "GET", path, "").want(t, 422).locations(t)
	}
	s.send(t, "POST", "/books", bookJSON("a", "b"), "Idempotency-Key: \xff").want(t, 422)
	s.send(t, "POST", "/books", bookJSON("a", "b"), "Idempotency-Key: "+strings.Repeat("k", 256)).want(t, 422)
	s.send(t, "GET", "/books?limit=1;x", "").want(t, 400)
}

func etags(t *testing.T, s *service) {
	a := s.send(t, "POST", "/books", bookJSON("Tagged", "0")).want(t, 201)
	path, tag := a.header.Get("Location"), a.header.Get("ETag")
	s.send(t, "PUT", path, bookJSON("Tagged", "1")).want(t, 428)
	s.send(t, "PATCH", path, `{"author":"1"}`).want(t, 428)
	s.send(t, "DELETE", path, "").want(t, 428)
	s.send(t, "PUT", path, bookJSON("Tagged", "1"), `If-Match: W/`+tag).want(t, 412)

	// Of many that change the same version, one wins.
	var wins sync.Map
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			got, err := send(http.DefaultClient, "PATCH", s.url+path, fmt.Sprintf(`{"author":"%d"}`, i), "If-Match: "+tag)
			switch {
			case err != nil:
				t.Error(err)
			case got.status == 200:
				wins.Store(i, got)
			case got.status != 412:
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
	wait.Wait()
	n := 0
	wins.Range(func(key, value any) bool {
		n++
		now := s.send(t, "GET", path, "").want(t, 200)
		if now.body != value.(answer).body || now.book(t).Author != fmt.Sprint(key) {
			t.Errorf("the winner was %v, stored is %s", value, now.body)
		}
		tag = now.header.Get("ETag")
		return true
	})
	if n != 1 {
		t.Fatalf("%d of 16 changes of one version were taken", n)
	}
	replaced := s.send(t, "PUT", path, bookJSON("Tagged 2", "z"), `If-Match: "1-1", `+tag).want(t, 200).book(t)
	if replaced.Name != "Tagged 2" || replaced.Author != "z" || replaced.Updated <= replaced.Created {
		t.Errorf("replaced: %+v", replaced)
	}
	if kept := s.send(t, "PATCH", path, `{"name":null}`, "If-Match: *").want(t, 200).book(t); kept.Name != "Tagged 2" {
		t.Errorf("null changed the name: %+v", kept)
	}
	s.send(t, "PATCH", path, `{"name":""}`, "If-Match: *").want(t, 422)
	s.send(t, "DELETE", path, "", "If-Match: "+tag).want(t, 412)
	s.send(t, "DELETE", path, "", "If-Match: *").want(t, 204)
	s.send(t, "DELETE", path, "", "If-Match: *").want(t, 404)
	s.send(t, "PUT", path, bookJSON("a", "b"), "If-Match: *").want(t, 404)
	s.send(t, "GET", path, "").want(t, 404)
}

func idempotency(t *testing.T, s *service) {
	const key = "Idempotency-Key: 9d2c-1"
	first := s.send(t, "POST", "/books", bookJSON("Once", "A"), key).want(t, 201)
	if first.header.Get("Idempotency-Replayed") != "" {
		t.Error("the first request counts as a replay")
	}
	again := s.send(t, "POST", "/books", bookJSON("Once", "A"), key).want(t, 201)
	if again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" || again.header.Get("Location") != first.header.Get("Location") || again.header.Get("ETag") != first.header.Get("ETag") {
		t.Errorf("the retry: %v, want %v", again, first)
	}
	s.send(t, "POST", "/books", bookJSON("Once", "B"), key).want(t, 422)

	// At the same time, too.
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			got, err := send(http.DefaultClient, "POST", s.url+"/books/batch", `{"books":[`+bookJSON("Raced", "1")+","+bookJSON("Raced", "2")+`]}`, "Idempotency-Key: raced")
			if err != nil || got.status != 201 {
				t.Errorf("%v %v", got, err)
			}
		})
	}
	wait.Wait()
	if n := len(listed(t, s, "name=Raced")); n != 2 {
		t.Errorf("16 equal requests with one key stored %d books, want 2", n)
	}
}

type listPage struct {
	Books []book
	Next  string
}

// listed are all books of a list, page by page.
func listed(t *testing.T, s *service, query string) (all []book) {
	t.Helper()
	for path := "/books?" + query; path != ""; {
		a := s.send(t, "GET", path, "").want(t, 200)
		var p listPage
		a.decode(t, &p)
		all = append(all, p.Books...)
		path = ""
		for _, link := range a.header.Values("Link") {
			if target, ok := strings.CutSuffix(link, `>; rel="next"`); ok {
				path = strings.TrimPrefix(target, "<")
			}
		}
		if (path == "") != (p.Next == "") {
			t.Errorf("Link %v and next %q disagree", a.header.Values("Link"), p.Next)
		}
	}
	return all
}

func batches(t *testing.T, s *service) {
	var books []json.RawMessage
	for i := range 1000 {
		books = append(books, json.RawMessage(bookJSON(fmt.Sprintf("Batch %d", i), "batch author")))
	}
	text, err := json.Marshal(map[string]any{"books": books})
	if err != nil {
		t.Fatal(err)
	}
	var stored listPage
	s.send(t, "POST", "/books/batch", string(text)).want(t, 201).decode(t, &stored)
	for i, b := range stored.Books {
		if b.Name != fmt.Sprintf("Batch %d", i) {
			t.Fatalf("book %d of the answer is %q", i, b.Name)
		}
	}
	if n := len(listed(t, s, "author=batch+author&limit=200")); n != 1000 {
		t.Errorf("%d books of the batch are stored, want 1000", n)
	}
	wrong := s.send(t, "POST", "/books/batch", `{"books":[`+bookJSON("Half", "a")+`,{"name":"","author":3}]}`).want(t, 422).locations(t)
	if diff := cmp.Diff([]string{"body.books[1].author", "body.books[1].name"}, wrong); diff != "" {
		t.Errorf("wrong fields (-want +got):\n%s", diff)
	}
	s.send(t, "GET", "/books/Half", "").want(t, 404)
	s.send(t, "POST", "/books/batch", `{"books":[]}`).want(t, 422)
	s.send(t, "POST", "/books/batch", strings.Repeat(" ", 1<<20+1)).want(t, 413)
}

func paging(t *testing.T, s *service) {
	want := map[int64]bool{}
	for range 23 {
		want[s.send(t, "POST", "/books", bookJSON("Paged", "the paged author")).want(t, 201).book(t).ID] = true
	}
	for _, query := range []string{"name=Paged", "author=the+paged+author", "name=Paged&author=the+paged+author", "q=paged", "q=Paged"} {
		for _, limit := range []string{"1", "7", "23", "200"} {
			last := int64(0)
			got := map[int64]bool{}
			for _, b := range listed(t, s, query+"&limit="+limit) {
				if b.ID <= last {
					t.Errorf("%s: %d comes after %d", query, b.ID, last)
				}
				last, got[b.ID] = b.ID, true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, pages of %s (-want +got):\n%s", query, limit, diff)
			}
		}
	}
}

func prefixes(t *testing.T, s *service) {
	for _, name := range []string{"Prefix B", "prefix a", "PREFIX", "Prefix_c", "pref", "prefiy", strings.Repeat("Prefix long ", 80)} {
		s.send(t, "POST", "/books", bookJSON(name, "p")).want(t, 201)
	}
	var got []string
	for _, b := range listed(t, s, "q=pReFiX&limit=2") {
		got = append(got, b.Name)
	}
	want := []string{"PREFIX", "prefix a", "Prefix B", strings.Repeat("Prefix long ", 80), "Prefix_c"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func concurrency(t *testing.T, s *service) {
	var wait sync.WaitGroup
	for c := range 32 {
		wait.Go(func() {
			for i := range 20 {
				name, author := fmt.Sprintf("Concurrent %d-%d", c, i), fmt.Sprintf("author %d", i)
				stored, err := send(http.DefaultClient, "POST", s.url+"/books", bookJSON(name, author))
				if err != nil || stored.status != 201 {
					t.Errorf("%v %v", stored, err)
					return
				}
				var b book
				if err := json.Unmarshal([]byte(stored.body), &b); err != nil || b.Name != name || b.Author != author {
					t.Errorf("%s was answered with %s", name, stored.body)
				}
				found, err := send(http.DefaultClient, "GET", s.url+"/books/"+url.PathEscape(name), "")
				if err != nil || found.body != stored.body {
					t.Errorf("found %v %v, want %s", found, err, stored.body)
				}
			}
		})
	}
	wait.Wait()
}

// The page lists the newest books, so it has a service to itself.
func TestProgramsAreGreetedAndBrowsersSeeAPage(t *testing.T) {
	t.Parallel()
	s := serve(t, newDatabase(t))
	if a := s.send(t, "GET", "/", "").want(t, 200); a.body != "Hello, World!" || a.header.Get("Vary") != "Accept" {
		t.Errorf("greeting: %v", a)
	}
	form := url.Values{"name": {`<script>alert("x")</script>`}, "author": {"home & garden"}}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	kind := "Content-Type: application/x-www-form-urlencoded"
	added, err := send(client, "POST", s.url+"/", form.Encode(), kind)
	if err != nil || added.status != 303 || added.header.Get("Location") != "/" {
		t.Fatalf("form: %v %v", added, err)
	}
	page := s.send(t, "GET", "/", "", "Accept: text/html,*/*;q=0.8").want(t, 200)
	for _, want := range []string{"Hello, World!", `href="/docs"`, "home &amp; garden", "&lt;script&gt;alert", "<label for=\"name\">"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page.body, "<script") || !strings.Contains(page.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error("the page holds a script, or has no content policy")
	}
	wrong := s.send(t, "POST", "/", "name=&author=kept+%22author%22", kind).want(t, 422)
	if !strings.Contains(wrong.body, `aria-describedby="name-wrong"`) || !strings.Contains(wrong.body, "kept &#34;author&#34;") {
		t.Errorf("the form's answer: %s", wrong.body)
	}
	s.send(t, "POST", "/", form.Encode(), kind, "Sec-Fetch-Site: cross-site").want(t, 403)
	s.send(t, "POST", "/", "name=%ff&author=x", kind).want(t, 422)
}

func requestIDs(t *testing.T, s *service) {
	given := s.send(t, "GET", "/books/none%20of%20these", "", "X-Request-Id: my-id.1").want(t, 404)
	if given.header.Get("X-Request-Id") != "my-id.1" || !strings.Contains(s.log.String(), `"id":"my-id.1"`) {
		t.Error("the client's id is not used")
	}
	forged := s.send(t, "GET", "/", "", "X-Request-Id: a b\"c")
	made := forged.header.Get("X-Request-Id")
	if len(made) != 16 || made == s.send(t, "GET", "/", "").header.Get("X-Request-Id") {
		t.Errorf("id %q", made)
	}
	// A terminal would take it for the beginning of a control sequence.
	raw := dialService(t, s)
	raw.send(t, "GET /books/\u009bx?q HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if _, err := io.Copy(io.Discard, raw); err != nil {
		t.Fatal(err)
	}
	if log := s.log.String(); !strings.Contains(log, `"path":"/books/%C2%9Bx"`) {
		t.Errorf("the path of a request is not in the log as it should be: %s", log)
	}
	var line struct {
		Method, Path, Operation string
		Status                  int
		Ms                      float64
	}
	for text := range strings.Lines(s.log.String()) {
		if strings.Contains(text, `"id":"my-id.1"`) {
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
		}
	}
	if line.Method != "GET" || line.Path != "/books/none%20of%20these" || line.Operation != "get-book-by-name" || line.Status != 404 || line.Ms <= 0 {
		t.Errorf("log line %+v", line)
	}
}

func metricsShown(t *testing.T, s *service) {
	s.send(t, "GET", "/books/id/987654321", "").want(t, 404)
	s.send(t, "GET", "/healthz", "").want(t, 200)
	text := s.send(t, "GET", "/metrics", "").want(t, 200).body
	for _, want := range []string{
		`http_request_duration_seconds_bucket{operation="get-book",code="404",le="+Inf"} `,
		`http_request_duration_seconds_count{operation="healthz",code="200"} `,
		"pgxpool_max_conns 10\n", "http_requests_in_flight ", "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
}

func wrongPaths(t *testing.T, s *service) {
	s.send(t, "GET", "/nothing", "").want(t, 404).locations(t)
	a := s.send(t, "PUT", "/books", "{}").want(t, 405)
	a.locations(t)
	if allow := a.header.Get("Allow"); allow != "GET, HEAD, POST" {
		t.Errorf("Allow: %s", allow)
	}
	// Without an id it is the path of a book named "id/".
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		if allow := s.send(t, method, "/books/id/", "{}").want(t, 405).header.Get("Allow"); allow != "GET, HEAD" {
			t.Errorf("Allow: %s", allow)
		}
	}
	if head := s.send(t, "HEAD", "/healthz", "").want(t, 200); head.body != "" {
		t.Errorf("HEAD has the body %q", head.body)
	}
}

func migrateAgain(t *testing.T, s *service) {
	s.send(t, "POST", "/books", bookJSON("Survivor", "s")).want(t, 201)
	// As a task of a later release leaves it, which is rolled back.
	s.db.exec(t, `INSERT INTO schema_migrations (version, name) VALUES (9999, 'of the future') ON CONFLICT DO NOTHING`)
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			other := start(t, s.db)
			other.await(t)
			other.send(t, "GET", "/books/Survivor", "").want(t, 200)
		})
	}
	wait.Wait()
}

// unknownQuery compares the answers with and without a query, for every kind of path.
func unknownQuery(t *testing.T, s *service) {
	for _, name := range []string{"Unknown Query", "Ünï \"\\\u2028 <&> \x01\x7f 😀"} {
		stored := s.send(t, "POST", "/books", `{"name":`+quoted(t, name)+`,"author":"b"}`).want(t, 201)
		path := "/books/" + url.PathEscape(name)
		a, b := s.send(t, "GET", path, "").want(t, 200), s.send(t, "GET", path+"?x=1", "").want(t, 200)
		if a.body != b.body || a.body != stored.body {
			t.Errorf("bodies differ: %s and %s", a.body, b.body)
		}
		for _, h := range []http.Header{a.header, b.header} {
			h.Del("Date")
			h.Del("X-Request-Id")
		}
		if diff := cmp.Diff(a.header, b.header); diff != "" {
			t.Errorf("headers differ:\n%s", diff)
		}
	}
	for _, path := range []string{
		"neither", "", "batch", "id", "id/", "id/1", "id/1/2", "id%2F1", "%69d/1", "ids", "a/b", "a%2Fb", "a//b", "/a", "a/", "./a", "../books", "%2e%2e/a", "%00", "%ff", "+", "%2B", "a;b", "%3F",
	} {
		a, b := s.send(t, "GET", "/books/"+path, ""), s.send(t, "GET", "/books/"+path+"?x=1", "")
		if a.status != b.status || a.body != b.body {
			t.Errorf("%s: answers differ: %d %s and %d %s", path, a.status, a.body, b.status, b.body)
		}
	}
}

func quoted(t *testing.T, text string) string {
	t.Helper()
	out, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Tasks that start at the same time on an empty database migrate it once.
func TestTasksStartingTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	var all []*service
	for range 5 {
		all = append(all, start(t, db))
	}
	migrated := 0
	for _, s := range all {
		s.await(t)
		migrated += strings.Count(s.log.String(), `"msg":"migrated"`)
	}
	var steps int
	if err := db.connect(t).QueryRow(context.Background(), `SELECT count(*) FROM schema_migrations`).Scan(&steps); err != nil {
		t.Fatal(err)
	}
	if migrated != steps || steps == 0 {
		t.Errorf("%d steps were taken for a schema of %d", migrated, steps)
	}
}

// A task that has reached the database and not yet migrated it says that it is
// not ready, and not that it is broken.
func TestBeforeTheSchemaIsThereRequestsAreAskedToComeAgain(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	conn := db.connect(t)
	ctx := context.Background()
	// Another task is at it: the key is that of MigrationLock.
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, database.MigrationLock); err != nil {
		t.Fatal(err)
	}
	s := start(t, db)
	for method, path := range map[string]string{"POST": "/books", "GET": "/books/Dune"} {
		a := s.send(t, method, path, `{"name":"Dune","author":"Frank Herbert"}`, "Content-Type: application/json")
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%s %s before the schema: %d, Retry-After %q: %s", method, path, a.status, a.header.Get("Retry-After"), a.body)
		}
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	s.await(t)
	if a := s.send(t, "POST", "/books", `{"name":"Dune","author":"Frank Herbert"}`, "Content-Type: application/json"); a.status != http.StatusCreated {
		t.Errorf("POST with the schema: %d %s", a.status, a.body)
	}
}

func TestAWrongConfigurationIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	_, err := api.New(api.Options{Database: database.Config{Host: "h", Port: 1, SSLMode: "verify-full", RootCert: "/does/not/exist"}})
	if err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("a missing file of authorities: %v", err)
	}
	if _, err := api.New(api.Options{Drain: -1}); err == nil {
		t.Error("a negative drain period was taken")
	}
}
