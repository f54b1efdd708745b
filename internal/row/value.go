package row

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"

	"github.com/lambdabiz/lambdabiz"
)

// Byte is the number of a status, a kind or a mode. What is none was written by nobody who knows them.
func Byte(n int64) (uint8, error) {
	if n < 0 || n > math.MaxUint8 {
		return 0, fmt.Errorf("%d is no byte", n)
	}
	return uint8(n), nil
}

// Tags is the JSON of tags. What a filter looks for is compared with it as it stands, so nothing is escaped that need not be.
func Tags(tags map[string]string) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(tags)
	return text.String(), err
}

// What [Stop] says.
const (
	lastBeforeStop = 1
	afterStop      = 2
)

// Stop is what an operation says of the stop of its code. For most it is 0, which is NULL.
func Stop(op *lambdabiz.Operation) int64 {
	switch {
	case op.AfterStop:
		return afterStop
	case op.LastBeforeStop:
		return lastBeforeStop
	}
	return 0
}

// SetStop has the operation say what [Stop] has written.
func SetStop(op *lambdabiz.Operation, stop int64) {
	op.LastBeforeStop, op.AfterStop = stop == lastBeforeStop, stop == afterStop
}
