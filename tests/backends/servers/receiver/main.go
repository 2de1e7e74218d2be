// test can compare what the agent meant with what another implementation of the wire format reads.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"sync"

	"github.com/golang/snappy"
	"github.com/grafana/loki/pkg/push"
)

// entry is what one pushed line was decoded to.
type entry struct {
	Tenant   string            `json:"tenant"`
	Labels   string            `json:"labels"`
	Time     int64             `json:"ns"`
	Line     string            `json:"line"`
	Metadata map[string]string `json:"metadata"`
}

type receiver struct {
	mutex   sync.Mutex
	entries []entry
}

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "", "address to listen on")
	flag.Parse()
	r := &receiver{}
	http.HandleFunc("POST /loki/api/v1/push", r.push)
	http.HandleFunc("GET /entries", r.show)
	log.Fatal(http.ListenAndServe(*listen, nil))
}

func (r *receiver) push(w http.ResponseWriter, request *http.Request) {
	packed, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, err := snappy.Decode(nil, packed)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var pushed push.PushRequest
	if err := pushed.Unmarshal(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, stream := range pushed.Streams {
		for _, line := range stream.Entries {
			metadata := map[string]string{}
			for _, pair := range line.StructuredMetadata {
				metadata[pair.Name] = pair.Value
			}
			r.entries = append(r.entries, entry{
				request.Header.Get("X-Scope-OrgID"), stream.Labels, line.Timestamp.UnixNano(), line.Line, metadata,
			})
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) show(w http.ResponseWriter, _ *http.Request) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	encoder := json.NewEncoder(w)
	for _, one := range r.entries {
		if err := encoder.Encode(one); err != nil {
			log.Print(err)
			return
		}
	}
}
