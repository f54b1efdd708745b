package fakeswf

import (
	"bytes"
	"encoding/json"
)

// CheckAnswer compares an answer with the service model: all that the shape requires, nothing that it does not know.
func CheckAnswer(action string, body []byte) ([]string, error) {
	shape := model().Operations[action][1]
	if shape == "" {
		if len(body) > 0 {
			return []string{"a body where the model has none"}, nil
		}
		return nil, nil
	}
	answer := object{}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&answer); err != nil {
		return nil, err
	}
	if (action == "PollForDecisionTask" || action == "PollForActivityTask") && answer.text("taskToken") == "" {
		return nil, nil // an empty poll has less than the model requires
	}
	return model().check(shape, answer, true), nil
}

// Actions are the operations of the fake and those of the model.
func Actions() (ours, theirs []string) {
	for action := range handlers {
		ours = append(ours, action)
	}
	for action := range polls {
		ours = append(ours, action)
	}
	for action := range model().Operations {
		theirs = append(theirs, action)
	}
	return ours, theirs
}
