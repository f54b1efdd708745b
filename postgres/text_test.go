package postgres_test

import (
	"testing"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
)

func TestTextsComeBack(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a", "ä", "\x00", "a\x00b", "\xff", "\x01", "\x01a", "\ufffd", "日本"} {
		stored := postgres.Text(s)
		if got, err := postgres.Plain(stored); got != s || err != nil {
			t.Errorf("%q is stored as %q and comes back as %q, %v", s, stored, got, err)
		}
	}
}

func TestTextsThatAreNoneToPostgreSQLAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, s := range []string{"a\x00b", "\xff\xfe", "\x01", "plain"} {
		id := "id " + s
		s2 := startOf(id)
		s2.Tags = map[string]string{"k": "v"}
		b.commit(&lambdabiz.Commit{Worker: b.worker, Starts: []lambdabiz.RunStart{s2}})
		b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: id, Name: s, Key: s, Payload: lambdabiz.Payload(s)}}})
		b.control(lambdabiz.ControlPause, id, s)
		b.control(lambdabiz.ControlCancel, id, s)
		r := b.load(id)
		if r.ID != id || r.PauseReason != s || r.CancelReason != s || r.Messages[0].Name != s || r.Messages[0].Key != s ||
			string(r.Messages[0].Payload) != s {
			t.Errorf("%q: %+v", s, r)
		}
	}
}

func TestWhereIDsWithAPrefixEnd(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]any{
		"a": "b", "az": "a{", "\U0010ffff": nil, "a\U0010ffff": "b", "\ud7ff": "\ue000", "日": string('日' + 1),
	} {
		if got := postgres.AfterPrefix(prefix); got != want {
			t.Errorf("%q: %v, want %v", prefix, got, want)
		}
	}
}
