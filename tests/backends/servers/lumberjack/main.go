// Command lumberjack writes audit events from a file through the rotation library that kube-apiserver links, one
// Write an event as the API server does, and keeps a plain copy of all that it wrote for a test to compare with.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

// The form in which the API server writes times: UTC, microseconds, always six digits.
const microTime = "2006-01-02T15:04:05.000000Z"

func main() {
	log.SetFlags(0)
	from := flag.String("from", "", "file of events, one a line; begun again at its end until -events are written")
	to := flag.String("to", "", "the live audit log to write")
	copyTo := flag.String("copy", "", "file that receives the same lines, unrotated")
	events := flag.Int("events", 0, "how many to write; 0: the file once")
	megabytes := flag.Int("max-size", 1, "size in MB at which the library rotates")
	backups := flag.Int("max-backups", 0, "backups kept; 0: all")
	compress := flag.Bool("compress", false, "gzip the backups")
	rate := flag.Float64("megabytes-per-second", 0, "pace; 0: as fast as the disk takes it")
	maxLine := flag.Int("max-line", 0, "leave out longer lines; 0: none")
	redate := flag.Bool("redate", false, "move both timestamps of each event so that its stage is reached now")
	freshIDs := flag.Bool("fresh-ids", false, "give each event an auditID of its own")
	flag.Parse()

	lines, err := read(*from, *maxLine)
	if err != nil {
		log.Fatal(err)
	}
	if *events == 0 {
		*events = len(lines)
	}
	plain, err := os.Create(*copyTo)
	if err != nil {
		log.Fatal(err)
	}
	rotating := &lumberjack.Logger{Filename: *to, MaxSize: *megabytes, MaxBackups: *backups, Compress: *compress}
	begun, written := time.Now(), 0
	for n := 0; n < *events; n++ {
		line := bytes.Clone(lines[n%len(lines)])
		if *freshIDs {
			setID(line, n, begun)
		}
		if *redate {
			if line, err = moveTo(line, time.Now()); err != nil {
				log.Fatal(err)
			}
		}
		if _, err := rotating.Write(line); err != nil {
			log.Fatal(err)
		}
		if _, err := plain.Write(line); err != nil {
			log.Fatal(err)
		}
		written += len(line)
		if *rate > 0 {
			due := begun.Add(time.Duration(float64(written) / (*rate * 1e6) * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
	}
	fmt.Printf("wrote %d events, %d bytes in %s\n", *events, written, time.Since(begun).Round(time.Millisecond))
}

// read returns the lines of a file, each with its newline, without those that are longer than limit.
func read(path string, limit int) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader := bufio.NewReaderSize(file, 1<<20)
	var lines [][]byte
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(lines) == 0 {
				return nil, fmt.Errorf("%s holds no event", path)
			}
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		if limit == 0 || len(line) <= limit {
			lines = append(lines, line)
		}
	}
}

// setID overwrites the auditID, 36 bytes in every recorded event, with one made of the start time and a number.
func setID(line []byte, n int, begun time.Time) {
	key := []byte(`"auditID":"`)
	if at := bytes.Index(line, key); at >= 0 {
		id := fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(begun.UnixMilli()), n)
		copy(line[at+len(key):], id)
	}
}

// moveTo shifts an event in time: its stage is reached now, and it was received as long before as it was.
func moveTo(line []byte, now time.Time) ([]byte, error) {
	received, stage := span(line, `"requestReceivedTimestamp":"`), span(line, `"stageTimestamp":"`)
	if received == nil || stage == nil {
		return nil, fmt.Errorf("no timestamps in %.100q", line)
	}
	start, err := time.Parse(microTime, string(received))
	if err != nil {
		return nil, err
	}
	end, err := time.Parse(microTime, string(stage))
	if err != nil {
		return nil, err
	}
	copy(stage, now.UTC().Format(microTime))
	copy(received, now.Add(start.Sub(end)).UTC().Format(microTime))
	return line, nil
}

// span is the value of the last such key, in place: bodies come before the envelope's timestamps.
func span(line []byte, key string) []byte {
	at := bytes.LastIndex(line, []byte(key))
	if at < 0 || at+len(key)+len(microTime) > len(line) {
		return nil
	}
	return line[at+len(key) : at+len(key)+len(microTime)]
}
