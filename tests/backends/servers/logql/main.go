// Answers LogQL queries about log lines as Loki 2.2.1 does, the last release under Apache-2.0: its parser and its engine,
// with no server around them. A JSON object with streams and queries comes in on standard input, and a list of answers goes
// out, in the order of the queries.
//
// Loki 3 shows the structured metadata of a line among its labels. Loki 2.2.1 knows no such metadata: here they are labels
// of the stream from the start.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/grafana/loki/pkg/logproto"
	"github.com/grafana/loki/pkg/logql"
	"github.com/prometheus/prometheus/promql"
	"github.com/weaveworks/common/user"
)

type ask struct {
	Streams []stream `json:"streams"`
	Queries []query  `json:"queries"`
}

type stream struct {
	Labels  string  `json:"labels"`
	Entries []entry `json:"entries"`
}

type entry struct {
	// At is in nanoseconds.
	At   int64  `json:"at"`
	Line string `json:"line"`
}

// query is an instant query at the end if it has no step.
type query struct {
	Text  string `json:"text"`
	Start int64  `json:"start"`
	End   int64  `json:"end"`
	Step  int64  `json:"step"`
}

type answer struct {
	// Rows counts series, or lines.
	Rows int `json:"rows"`
	// Sum is that of the values of an instant query, which are counts.
	Sum   int64  `json:"sum"`
	Error string `json:"error,omitempty"`
}

type unlimited struct{}

func (unlimited) MaxQuerySeries(string) int { return 10000 }

func main() {
	var asked ask
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var streams []logproto.Stream
	for _, one := range asked.Streams {
		entries := make([]logproto.Entry, 0, len(one.Entries))
		for _, e := range one.Entries {
			entries = append(entries, logproto.Entry{Timestamp: time.Unix(0, e.At), Line: e.Line})
		}
		streams = append(streams, logproto.Stream{Labels: one.Labels, Entries: entries})
	}
	engine := logql.NewEngine(logql.EngineOpts{}, logql.NewMockQuerier(1, streams), unlimited{})
	answers := []answer{}
	for _, one := range asked.Queries {
		answers = append(answers, evaluate(engine, one))
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		os.Exit(1)
	}
}

func evaluate(engine *logql.Engine, one query) answer {
	start, end := time.Unix(0, one.Start), time.Unix(0, one.End)
	if one.Step == 0 {
		start = end
	}
	params := logql.NewLiteralParams(one.Text, start, end, time.Duration(one.Step), 0, logproto.BACKWARD, 1000, nil)
	found, err := engine.Query(params).Exec(user.InjectOrgID(context.Background(), "test"))
	if err != nil {
		return answer{Error: err.Error()}
	}
	switch data := found.Data.(type) {
	case promql.Vector:
		var sum int64
		for _, sample := range data {
			sum += int64(sample.V)
		}
		return answer{Rows: len(data), Sum: sum}
	case promql.Matrix:
		return answer{Rows: len(data)}
	case logql.Streams:
		lines := 0
		for _, one := range data {
			lines += len(one.Entries)
		}
		return answer{Rows: lines}
	default:
		return answer{Error: fmt.Sprintf("an answer of type %T", data)}
	}
}
