// Command gcs is an emulator of Google's storage for tests of the data mover: fake-gcs-server over memory, and the two things
// of the real one that it lacks and the mover uses: uploads in parts, and reads bound to a generation.
//
//	gcs ADDRESS BUCKET
package main

import (
	"bytes"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

// upload is one that has not been completed: https://cloud.google.com/storage/docs/xml-api/post-object-multipart
type upload struct {
	bucket, name string
	parts        map[int][]byte
}

type gateway struct {
	store *fakestorage.Server
	mutex sync.Mutex
	open  map[string]*upload
	count int
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: gcs ADDRESS BUCKET")
	}
	address, bucket := os.Args[1], os.Args[2]
	store, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, PublicHost: address})
	if err != nil {
		log.Fatal(err)
	}
	store.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	log.Fatal(http.ListenAndServe(address, &gateway{store: store, open: map[string]*upload{}}))
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && query.Has("uploads"):
		g.initiate(w, r)
	case query.Has("uploadId") && !strings.HasPrefix(r.URL.Path, "/upload/"):
		g.goOn(w, r)
	case r.Method == http.MethodGet && query.Has("ifGenerationMatch") && !g.matches(r):
		http.Error(w, "conditionNotMet", http.StatusPreconditionFailed)
	case r.URL.Path == "/batch/storage/v1":
		if err := endParts(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		g.store.HTTPHandler().ServeHTTP(w, r)
	default:
		g.store.HTTPHandler().ServeHTTP(w, r)
	}
}

// endParts gives each request of a batch the empty line that ends its header: Google does not miss it, the parser of Go does.
func endParts(r *http.Request) error {
	// Not by r.MultipartReader: that works once for each request.
	_, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	parts := multipart.NewReader(r.Body, parameters["boundary"])
	var body bytes.Buffer
	whole := multipart.NewWriter(&body)
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		to, err := whole.CreatePart(part.Header)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		fmt.Fprintf(to, "%s\r\n\r\n", content)
	}
	if err := whole.Close(); err != nil {
		return err
	}
	r.Body = io.NopCloser(&body)
	r.ContentLength = int64(body.Len())
	r.Header.Set("Content-Type", "multipart/mixed; boundary="+whole.Boundary())
	return nil
}

// matches says whether the object of a read still has the generation that is asked for.
func (g *gateway) matches(r *http.Request) bool {
	rest, _ := strings.CutPrefix(r.URL.Path, "/storage/v1/b/")
	bucket, name, _ := strings.Cut(rest, "/o/")
	object, err := g.store.GetObjectStreaming(bucket, name)
	if err != nil {
		return true // the answer is another
	}
	defer object.Close()
	return strconv.FormatInt(object.Generation, 10) == r.URL.Query().Get("ifGenerationMatch")
}

func (g *gateway) initiate(w http.ResponseWriter, r *http.Request) {
	bucket, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if _, err := g.store.GetObjectStreaming(bucket, name); err != nil && strings.Contains(err.Error(), "bucket") {
		http.Error(w, "NoSuchBucket", http.StatusNotFound)
		return
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.count++
	id := strconv.Itoa(g.count)
	g.open[id] = &upload{bucket: bucket, name: name, parts: map[int][]byte{}}
	type result struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadId string
	}
	answer(w, result{Bucket: bucket, Key: name, UploadId: id})
}

func (g *gateway) goOn(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := r.URL.Query().Get("uploadId")
	g.mutex.Lock()
	defer g.mutex.Unlock()
	of, known := g.open[id]
	if !known {
		http.Error(w, "NoSuchUpload", http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodPut:
		number, err := strconv.Atoi(r.URL.Query().Get("partNumber"))
		if err != nil || number < 1 || number > 10000 {
			http.Error(w, "InvalidPartNumber", http.StatusBadRequest)
			return
		}
		of.parts[number] = body
		w.Header().Set("ETag", fmt.Sprintf("%q", tag(body)))
	case http.MethodPost:
		g.complete(w, id, of, body)
	case http.MethodDelete:
		delete(g.open, id)
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, "MethodNotAllowed", http.StatusMethodNotAllowed)
	}
}

func (g *gateway) complete(w http.ResponseWriter, id string, of *upload, body []byte) {
	var wanted struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.Unmarshal(body, &wanted); err != nil {
		http.Error(w, "MalformedXML", http.StatusBadRequest)
		return
	}
	sorted := sort.SliceIsSorted(wanted.Part, func(i, j int) bool { return wanted.Part[i].PartNumber < wanted.Part[j].PartNumber })
	var whole bytes.Buffer
	for i, part := range wanted.Part {
		content, there := of.parts[part.PartNumber]
		if !sorted || !there || strings.Trim(part.ETag, "\"") != tag(content) {
			http.Error(w, "InvalidPart", http.StatusBadRequest)
			return
		}
		if i+1 < len(wanted.Part) && len(content) < 5<<20 {
			http.Error(w, "EntityTooSmall", http.StatusBadRequest)
			return
		}
		whole.Write(content)
	}
	attrs := fakestorage.ObjectAttrs{BucketName: of.bucket, Name: of.name}
	g.store.CreateObject(fakestorage.Object{ObjectAttrs: attrs, Content: whole.Bytes()})
	delete(g.open, id)
	type result struct {
		XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
		Bucket  string
		Key     string
		ETag    string
	}
	answer(w, result{Bucket: of.bucket, Key: of.name, ETag: tag(whole.Bytes())})
}

func answer(w http.ResponseWriter, result any) {
	text, err := xml.Marshal(result)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Write(text)
}

func tag(content []byte) string {
	return fmt.Sprintf("%x", md5.Sum(content))
}
