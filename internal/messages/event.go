package messages

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Event is one server-sent event.
type Event struct {
	Name string
	Data []byte // lines joined by \n
}

// Append writes the event as it goes over the wire, with the empty line that ends it.
func (e Event) Append(to []byte) []byte {
	to = append(append(append(to, "event: "...), e.Name...), '\n')
	for line := range bytes.SplitSeq(e.Data, []byte("\n")) {
		to = append(append(append(to, "data: "...), line...), '\n')
	}
	return append(to, '\n')
}

// Reader reads server-sent events, as the HTML standard describes them, with lines that end in \n or
// \r\n. A \r elsewhere is refused: others might take it for the end of a line.
type Reader struct {
	r     *bufio.Reader
	total int
}

// NewReader reads events from r, which stays the caller's to close.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReader(r)} }

// Next gives the next event that has data, or io.EOF. An event that the end cuts off is none.
func (r *Reader) Next() (Event, error) {
	var e Event
	data, size := false, 0
	for {
		line, err := r.line(maxEvent - size)
		if err != nil {
			return Event{}, err
		}
		size += len(line) + 1
		if len(line) == 0 {
			if data {
				return e, nil
			}
			e = Event{}
			size = 0
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.Name = string(value)
		case "data":
			if data {
				e.Data = append(e.Data, '\n')
			}
			e.Data, data = append(e.Data, value...), true
		}
	}
}

// line reads one line of at most limit bytes, without its end.
func (r *Reader) line(limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.r.ReadSlice('\n')
		if r.total += len(part); r.total > maxAnswer {
			return nil, hostile("answer is longer than %d bytes", maxAnswer)
		}
		if len(line)+len(part) > limit {
			return nil, hostile("event is longer than %d bytes", maxEvent)
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		if bytes.IndexByte(line, '\r') >= 0 {
			return nil, hostile("carriage return within a line")
		}
		return line, nil
	}
}
