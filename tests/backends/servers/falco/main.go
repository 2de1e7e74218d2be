// A stand-in for Falco with its plugin k8saudit, which is no Go module of its own. It is written from what is known of
// the plugin: it takes a body, puts it into a queue of 50, answers 200, and reads the events with the JSON parser that
// the plugin uses. What the plugin would drop is counted with its reason. It keeps what a rule could see of each event:
// its id, its stage, its time, whether it is ours, and what `ka.resp.name` gives.
//
// Faults for tests: `-pause` waits before each body is read, `-late` before each answer, and `POST /stop` stops reading until `POST /go`.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fastjson"
)

const (
	maxBody  = 12 * 1024 * 1024
	maxEvent = 256 * 1024
	queue    = 50
)

// seen is one event that Falco's rules would see.
type seen struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Stage    string `json:"stage"`
	Verb     string `json:"verb"`
	Time     string `json:"time"`
	Response string `json:"response_name"`
	Note     string `json:"note"`
	Bytes    int    `json:"bytes"`
	Body     int    `json:"body"`
}

type falco struct {
	mutex       sync.Mutex
	changed     *sync.Cond
	stopped     bool
	pause, late time.Duration
	queue       chan []byte
	Events      []seen         `json:"events"`
	Bodies      int            `json:"bodies"`
	Dropped     map[string]int `json:"dropped"`
	Refused     int            `json:"refused"`
	Together    int            `json:"together"`
	underWay    int
}

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "", "address to listen on")
	pause := flag.Duration("pause", 0, "before each body is read")
	late := flag.Duration("late", 0, "between the queue and the answer")
	flag.Parse()
	f := &falco{pause: *pause, late: *late, queue: make(chan []byte, queue), Dropped: map[string]int{}, Events: []seen{}}
	f.changed = sync.NewCond(&f.mutex)
	http.HandleFunc("/k8s-audit", f.webhook)
	http.HandleFunc("GET /seen", f.show)
	http.HandleFunc("GET /counts", f.counts)
	http.HandleFunc("POST /stop", func(http.ResponseWriter, *http.Request) { f.stop(true) })
	http.HandleFunc("POST /go", func(http.ResponseWriter, *http.Request) { f.stop(false) })
	go f.read()
	log.Fatal(http.ListenAndServe(*listen, nil))
}

// webhook is the plugin's handler: the answer waits for room in the queue, and does not care who waits for it.
func (f *falco) webhook(w http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodPost {
		http.Error(w, fmt.Sprintf("%s method not allowed", request.Method), http.StatusMethodNotAllowed)
		return
	}
	f.enter(1)
	defer f.enter(-1)
	if !strings.Contains(request.Header.Get("Content-Type"), "application/json") {
		f.refuse(w, "wrong Content Type")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBody))
	if err != nil {
		f.refuse(w, fmt.Sprintf("bad request: %s", err))
		return
	}
	w.WriteHeader(http.StatusOK)
	f.queue <- body
	time.Sleep(f.late)
}

func (f *falco) enter(by int) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.underWay += by
	f.Together = max(f.Together, f.underWay)
}

func (f *falco) refuse(w http.ResponseWriter, why string) {
	f.mutex.Lock()
	f.Refused++
	f.mutex.Unlock()
	http.Error(w, why, http.StatusBadRequest)
}

func (f *falco) stop(stop bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.stopped = stop
	f.changed.Broadcast()
}

// read takes bodies from the queue, one after the other, as the plugin's parser does.
func (f *falco) read() {
	var parser fastjson.Parser
	for body := range f.queue {
		time.Sleep(f.pause)
		f.mutex.Lock()
		for f.stopped {
			f.changed.Wait()
		}
		f.Bodies++
		f.take(&parser, body)
		f.mutex.Unlock()
	}
}

func (f *falco) take(parser *fastjson.Parser, body []byte) {
	value, err := parser.ParseBytes(body)
	if err != nil {
		f.drop("body: " + err.Error()[:min(len(err.Error()), 80)])
		return
	}
	f.list(value)
}

func (f *falco) list(value *fastjson.Value) {
	if value.Type() == fastjson.TypeArray {
		for _, one := range value.GetArray() {
			f.list(one)
		}
		return
	}
	switch string(value.GetStringBytes("kind")) {
	case "EventList":
		for _, one := range value.GetArray("items") {
			f.event(one)
		}
	case "Event":
		f.event(value)
	default:
		f.drop("no event")
	}
}

func (f *falco) event(value *fastjson.Value) {
	stamp := value.Get("stageTimestamp")
	if stamp == nil {
		f.drop("no stageTimestamp")
		return
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp.GetStringBytes()))
	if err != nil {
		f.drop("stageTimestamp")
		return
	}
	encoded := value.MarshalTo(nil)
	if len(encoded) > maxEvent {
		f.drop("too large")
		return
	}
	// The plugin reads fields from what it has encoded.
	again, err := fastjson.ParseBytes(encoded)
	if err != nil {
		f.drop("encoded: " + err.Error()[:min(len(err.Error()), 80)])
		return
	}
	if again.Get("auditID") == nil {
		f.drop("no auditID")
		return
	}
	text := func(keys ...string) string { return string(again.GetStringBytes(keys...)) }
	f.Events = append(f.Events, seen{
		ID: text("auditID"), Kind: text("kind"), Stage: text("stage"), Verb: text("verb"),
		Time: at.UTC().Format(time.RFC3339Nano), Response: text("responseObject", "metadata", "name"),
		Note: text("annotations", "auditrail.io/completed"), Bytes: len(encoded), Body: f.Bodies,
	})
}

func (f *falco) drop(why string) { f.Dropped[why]++ }

func (f *falco) counts(w http.ResponseWriter, _ *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	fmt.Fprintf(w, "{\"events\": %d, \"bodies\": %d}", len(f.Events), f.Bodies)
}

func (f *falco) show(w http.ResponseWriter, _ *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if err := json.NewEncoder(w).Encode(f); err != nil {
		log.Print(err)
	}
}
