// Answers what kube-apiserver itself decides: a line with policies or a request comes in, a line with the answer goes out.
//
// Everything that decides is the server's own code: the loader, the validation, the evaluator, the parser of URIs, the
// attributes handed to it, and what is written of a request into its event.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/klog/v2"
)

// ask is one line of input: policies that take the place of those before, or a request to be judged under all of them.
type ask struct {
	Load   []string `json:"load"`
	Method string   `json:"method"`
	// Verb is given where the method is not known: a recorded event has the verb alone.
	Verb string `json:"verb"`
	URI  string `json:"uri"`
	User *who   `json:"user"`
	// Namespace and Name are those in the body, which the server adds to objectRef where the URL has none.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Event asks for the request's event, as the server writes it in both formats.
	Event bool `json:"event"`
}

type who struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
}

type answer struct {
	// Loaded has a message for each policy that the server refuses, an empty text for the others.
	Loaded    []string   `json:"loaded,omitempty"`
	Decisions []decision `json:"decisions,omitempty"`
	// Refused says why the server would not have let the request come as far as the audit.
	Refused string                   `json:"refused,omitempty"`
	Verb    string                   `json:"verb"`
	Ref     *auditv1.ObjectReference `json:"ref,omitempty"`
	Event   string                   `json:"event,omitempty"`
	Legacy  string                   `json:"legacy,omitempty"`
}

type decision struct {
	Level             string   `json:"level"`
	OmitStages        []string `json:"omitStages"`
	OmitManagedFields bool     `json:"omitManagedFields"`
}

// As kube-apiserver has them.
var resolver = &request.RequestInfoFactory{
	APIPrefixes:          sets.NewString("api", "apis"),
	GrouplessAPIPrefixes: sets.NewString("api"),
}

var methods = map[string]string{
	"create": "POST", "get": "GET", "list": "GET", "watch": "GET", "proxy": "GET", "update": "PUT", "patch": "PATCH",
	"delete": "DELETE", "deletecollection": "DELETE", "": "OPTIONS",
}

var hasBody = map[string]bool{"create": true, "update": true, "delete": true, "deletecollection": true}

var logged bytes.Buffer

var evaluators []audit.PolicyRuleEvaluator

func main() {
	// What the server would log: selectors that cannot be read, policies that it reads leniently.
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	flags.Parse([]string{"-logtostderr=false", "-one_output", "-stderrthreshold=FATAL"})
	klog.SetOutput(&logged)
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		var asked ask
		if err == nil {
			err = json.Unmarshal(line, &asked)
		}
		var encoded []byte
		if err == nil {
			encoded, err = json.Marshal(reply(&asked))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		out.Write(append(encoded, '\n'))
		out.Flush()
	}
}

func reply(asked *ask) answer {
	if asked.Load != nil {
		return answer{Loaded: load(asked.Load)}
	}
	got, err := judge(asked)
	if err != nil {
		return answer{Refused: err.Error()}
	}
	return got
}

func load(texts []string) []string {
	evaluators = nil
	messages := make([]string, len(texts))
	for i, text := range texts {
		logged.Reset()
		loaded, err := policy.LoadPolicyFromBytes([]byte(text))
		klog.Flush()
		messages[i] = logged.String()
		if err != nil {
			messages[i] = err.Error()
			loaded = &auditinternal.Policy{}
		}
		evaluators = append(evaluators, policy.NewPolicyRuleEvaluator(loaded))
	}
	return messages
}

func judge(asked *ask) (answer, error) {
	method := asked.Method
	if method == "" {
		known, ok := methods[asked.Verb]
		// The verb of a request for no resource is its method.
		if !ok {
			known = strings.ToUpper(asked.Verb)
		}
		method = known
	}
	address, err := url.ParseRequestURI(asked.URI)
	if err != nil {
		return answer{}, err
	}
	req := (&http.Request{Method: method, URL: address, RemoteAddr: "192.0.2.1:1", Header: http.Header{}}).
		WithContext(audit.WithAuditContext(context.Background()))
	info, err := resolver.NewRequestInfo(req)
	if err != nil {
		return answer{}, err
	}
	ctx := request.WithRequestInfo(req.Context(), info)
	if asked.User != nil {
		ctx = request.WithUser(ctx, &user.DefaultInfo{Name: asked.User.Name, Groups: asked.User.Groups})
	}
	attributes, err := filters.GetAuthorizerAttributes(ctx)
	if err != nil {
		return answer{}, err
	}
	got := answer{Verb: attributes.GetVerb()}
	if attributes.IsResourceRequest() {
		got.Ref = &auditv1.ObjectReference{
			APIGroup: attributes.GetAPIGroup(), Resource: attributes.GetResource(), Subresource: attributes.GetSubresource(),
			Namespace: attributes.GetNamespace(), Name: attributes.GetName(),
		}
	}
	for _, evaluator := range evaluators {
		config := evaluator.EvaluatePolicyRule(attributes)
		one := decision{Level: string(config.Level), OmitManagedFields: config.OmitManagedFields}
		for _, stage := range config.OmitStages {
			one.OmitStages = append(one.OmitStages, string(stage))
		}
		got.Decisions = append(got.Decisions, one)
	}
	if asked.Event {
		sink := &lines{asked: asked}
		context := audit.AuditContextFrom(ctx)
		everything := audit.RequestAuditConfig{Level: auditinternal.LevelRequestResponse}
		if err := context.Init(everything, sink); err != nil {
			return answer{}, err
		}
		audit.LogRequestMetadata(ctx, req.WithContext(ctx), time.Now(), attributes)
		context.ProcessEventStage(ctx, auditinternal.StageResponseComplete)
		got.Event, got.Legacy = sink.event, sink.legacy
	}
	return got, nil
}

// lines keeps an event as the log back end writes it.
type lines struct {
	asked         *ask
	event, legacy string
}

func (l *lines) ProcessEvents(events ...*auditinternal.Event) bool {
	for _, event := range events {
		// As LogRequestObject does once the body is read: it is called in create.go, update.go and delete.go alone.
		if ref := event.ObjectRef; ref != nil && hasBody[event.Verb] {
			if ref.Namespace == "" {
				ref.Namespace = l.asked.Namespace
			}
			if ref.Name == "" {
				ref.Name = l.asked.Name
			}
		}
		l.legacy = audit.EventString(event)
		encoded, err := runtime.Encode(audit.Codecs.LegacyCodec(auditv1.SchemeGroupVersion), event)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		l.event = strings.TrimSuffix(string(encoded), "\n")
	}
	return true
}
