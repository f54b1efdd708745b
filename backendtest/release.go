package backendtest

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

var releaseChecks = []check{
	{name: "release/ends the claim", run: releaseEnds},
	{name: "release/no wake-up is lost", where: conditional, run: releaseNoLostWakeup},
	{name: "release/a message that was not seen makes it due at once", where: closeOnly, run: releaseUnseen},
	{name: "release/a message wakes before WakeAt", run: releaseMessage},
	{name: "release/a seen message does not wake again", run: releaseSeen},
	{name: "release/applies the commit's changes", run: releaseApplies},
	{name: "release/the past is due at once", run: releasePast},
	{name: "release/keeps the version of the code that ran it", where: leases, run: releaseVersion},
}

func releaseEnds(h *harness) {
	x := h.startHeld("a")
	ref := x.Ref
	x.release(lambdabiz.Release{})
	x.Ref = ref
	x.fenced("commit after a release")
	h.notDue(at(100000), "a", "nothing wakes it")
	want(h, h.load("a").Status.Ended(), false, "status is an ended one")
}

func releaseNoLostWakeup(h *harness) {
	x := h.startHeld("a")
	seen := x.last()
	h.raise("a", "e") // between the last look and the release
	park := lambdabiz.Commit{Conditional: true, Seen: seen, Release: &lambdabiz.Release{}}
	v := x.try(park)
	h.is(v.Err, lambdabiz.ErrStale, "release that has not seen the last message")
	h.inbox(v.Messages, "e")
	h.notDue(at(100), "a", "it is still held")
	park.Seen = v.Messages[0].Number
	h.must(x.try(park).Err, "release that has seen all")
	h.notDue(at(100), "a", "its message was seen")
	h.raise("a", "e2")
	h.inbox(h.due(at(4), "a", "a message came after the release").Messages, "e", "e2")
}

func releaseUnseen(h *harness) {
	x := h.startHeld("a")
	seen := x.last()
	h.raise("a", "e") // between the last look and the release
	v := x.try(lambdabiz.Commit{
		Conditional: true, Seen: seen, Operations: []lambdabiz.Operation{operation(1)}, Release: &lambdabiz.Release{},
	})
	h.must(v.Err, "release that has not seen the last message")
	x = h.hold(x.worker, "a")
	h.inbox(x.Messages, "e")
	want(h, len(x.Operations), 1, "operations")
	x.release(lambdabiz.Release{})
	h.notDue(at(100), "a", "its message was seen")
}

func releaseMessage(h *harness) {
	x := h.startHeld("a")
	x.release(lambdabiz.Release{WakeAt: at(1000)})
	h.notDue(at(999), "a", "it sleeps")
	h.raise("a", "e")
	h.due(at(1), "a", "a message has arrived")
}

func releaseSeen(h *harness) {
	x := h.startHeld("a")
	x.release(lambdabiz.Release{})
	h.raise("a", "e")
	x = h.hold(x.worker, "a")
	h.inbox(x.Messages, "e")
	x.release(lambdabiz.Release{WakeAt: at(50)})
	h.notDue(at(49), "a", "its message was there when it was released")
	h.inbox(h.due(at(50), "a", "its WakeAt has come").Messages, "e")
}

func releaseApplies(h *harness) {
	h.start("a")
	h.start("b")
	h.raise("a", "e")
	x := h.hold(h.join(), "a")
	x.commit(lambdabiz.Commit{
		Operations: []lambdabiz.Operation{operation(1)}, Consumed: []int64{x.last()}, Seen: x.last(), Conditional: true,
		Progress: text("p"), Raises: []lambdabiz.Raise{{ID: "b", Name: "from a"}}, Release: &lambdabiz.Release{},
	})
	r := h.load("a")
	h.inbox(r.Messages)
	want(h, len(r.Operations), 1, "operations")
	want(h, string(r.Progress), string(text("p")), "Progress")
	h.inbox(h.load("b").Messages, "from a")
}

func releasePast(h *harness) {
	x := h.startHeld("a")
	x.release(lambdabiz.Release{WakeAt: at(1)})
	h.due(at(1), "a", "its WakeAt is over")
	x = h.startHeld("b")
	x.release(lambdabiz.Release{WakeAt: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)})
	h.due(at(1), "b", "its WakeAt was before 1970")
}

// releaseVersion: a release that names no version leaves the one of before, and so does all else but a new run.
func releaseVersion(h *harness) {
	x := h.startHeld("a")
	want(h, h.load("a").Version, "", "Version before the first release")
	x.release(lambdabiz.Release{WakeAt: at(1), Version: "v1"})
	want(h, h.load("a").Version, "v1", "Version")
	worker := h.joinVersion("v2", nameOf("a"))
	x = h.hold(worker, "a")
	want(h, x.Version, "v1", "Version of a claim by another version, which has not run it yet")
	x.release(lambdabiz.Release{WakeAt: at(1)})
	want(h, h.load("a").Version, "v1", "Version after a release that names none")
	x = h.hold(worker, "a")
	x.die()
	want(h, h.load("a").Version, "v1", "Version after its holder died")
	x = h.hold(h.join(), "a")
	x.release(lambdabiz.Release{WakeAt: at(1), Version: "v2", Blocked: blocked("v2")})
	want(h, h.load("a").Version, "v2", "Version after another one ran it")
	if !h.refuses(lambdabiz.FeatureList) {
		want(h, h.list(lambdabiz.Filter{})[0].Version, "v2", "Version in the list")
	}
	if reopened := h.reopen; reopened != nil {
		r, err := reopened().Load(background, "a", "")
		h.must(err, "Load")
		want(h, r.Version, "v2", "Version for another process")
	}
}

var blockChecks = []check{
	{name: "block/a blocked run keeps its reason", run: blockFields},
	{name: "block/a message does not wake it", run: blockMessage},
	{name: "block/its time wakes it", run: blockWakeAt},
	{name: "block/resume wakes it", needs: []lambdabiz.Feature{lambdabiz.FeaturePause}, run: blockResume},
	{name: "block/another version wakes it", where: leases, run: blockVersion},
	{name: "block/its version leaves it to another one that lives", where: leases, run: blockPassed},
	{name: "block/what is left to others holds up nothing", where: leases, run: blockPassedOthers},
	{name: "block/its version tries again when the other one has gone", where: leases, run: blockPassedGone},
	{name: "block/a release without a reason clears it", run: blockClears},
	{name: "block/a commit that ends the claim clears it", where: endsClaims, run: blockEndsWithClaim},
}

func blocked(version string) *lambdabiz.Blocked {
	return &lambdabiz.Blocked{
		Reason: "the same id twice", Operation: "ship/1", Source: "order.go:12", Detail: "goroutine 1\n",
		Version: version, Times: 3, Crashes: 5, Recorded: 7, Since: at(1), RetryAt: at(500),
	}
}

func (h *harness) startBlocked(id, version string) {
	h.Helper()
	h.startHeld(id).release(lambdabiz.Release{WakeAt: at(500), Blocked: blocked(version)})
}

func blockFields(h *harness) {
	h.startBlocked("a", "v1")
	wanted := normalInfo(lambdabiz.RunInfo{Blocked: blocked("v1")}).Blocked
	want(h, normalInfo(h.load("a").RunInfo).Blocked, wanted, "Blocked")
	c := h.holdAt(h.join(), at(500), "a")
	want(h, normalInfo(c.RunInfo).Blocked, wanted, "Blocked of a claim")
	if !h.refuses(lambdabiz.FeatureList) {
		want(h, len(h.list(lambdabiz.Filter{Blocked: true})), 1, "blocked runs in the list")
	}
}

func blockMessage(h *harness) {
	h.startBlocked("a", "v1")
	h.raise("a", "e")
	h.notDue(at(499), "a", "it is blocked")
	h.inbox(h.due(at(500), "a", "it is to be tried again").Messages, "e")
}

func blockWakeAt(h *harness) {
	h.startBlocked("a", "v1")
	worker := h.join()
	h.nextWake(h.claimAt(worker, at(4), "a"), at(500))
	h.due(at(500), "a", "it is to be tried again")
}

func blockResume(h *harness) {
	h.startBlocked("a", "v1")
	h.control(lambdabiz.ControlResume, "a")
	if h.load("a").Blocked != nil {
		h.Fatalf("Blocked after a resume")
	}
	h.due(at(4), "a", "it was resumed")
}

func blockVersion(h *harness) {
	h.startBlocked("a", "v1")
	h.startBlocked("b", "v1")
	worker := h.joinVersion("v1", nameOf("a"), nameOf("b"))
	want(h, len(h.claimAt(worker, at(499), "a", "b").Runs), 0, "runs claimed after a join of the same version")
	worker = h.joinVersion("v2", nameOf("a"))
	claims := h.claimAt(worker, at(499), "a", "b")
	if len(claims.Runs) != 1 || claims.Runs[0].ID != "a" {
		h.Fatalf("claimed after a join of another version: %+v", claims.Runs)
	}
	if claims.Runs[0].Blocked == nil || claims.Runs[0].Blocked.Times != 3 {
		h.Fatalf("Blocked of the claim: %+v", claims.Runs[0].Blocked)
	}
	h.notDue(at(499), "b", "the worker that joined does not serve it")
}

// blockPassed: while new code is rolled out, the old code would take it first, again and again.
func blockPassed(h *harness) {
	h.startBlocked("a", "v1")
	old := h.joinVersion("v1", nameOf("a"))
	fresh := h.joinVersion("v2", nameOf("a"))
	want(h, len(h.claimAt(old, at(499), "a").Runs), 0, "runs claimed by the old version after the new one has joined")
	want(h, len(h.claimAt(old, at(500), "a").Runs), 0, "runs claimed by the old version after RetryAt")
	claims := h.claimAt(fresh, at(500), "a")
	want(h, len(claims.Runs), 1, "runs claimed by the new version")
	// What the new version blocks is the old one's again, and not its own.
	x := &holding{h: h, worker: fresh, Claimed: claims.Runs[0]}
	x.release(lambdabiz.Release{WakeAt: at(600), Blocked: blocked("v2")})
	want(h, len(h.claimAt(fresh, at(600), "a").Runs), 0, "runs claimed again by the version that has blocked it")
	want(h, len(h.claimAt(old, at(600), "a").Runs), 1, "runs claimed by a version that has not blocked it last")
}

// blockPassedOthers: a worker that is told of what it may not take would ask for it without a pause.
func blockPassedOthers(h *harness) {
	h.startBlocked("a", "v1")
	h.startBlocked("b", "v1")
	h.start("c")
	old := h.joinVersion("v1", nameOf("a"), nameOf("b"), nameOf("c"))
	h.joinVersion("v2", nameOf("a"))
	r := lambdabiz.ClaimRequest{
		Worker: old, Names: []string{nameOf("a"), nameOf("b"), nameOf("c")}, Limit: 1, Now: at(500),
	}
	for range 2 { // b and c, in any order
		claims, err := h.b.Claim(background, r)
		h.must(err, "Claim")
		if len(claims.Runs) != 1 || claims.Runs[0].ID == "a" {
			h.Fatalf("claimed, when b and c are due: %+v", claims.Runs)
		}
	}
	for _, limit := range []int{1, 0} {
		r.Limit = limit
		claims, err := h.b.Claim(background, r)
		h.must(err, "Claim")
		if len(claims.Runs) > 0 || claims.More || !claims.NextWake.IsZero() && !claims.NextWake.After(r.Now) {
			h.Fatalf("a claim of at most %d says that there is more: %+v", limit, claims)
		}
	}
}

// blockPassedGone: nothing waits for a worker that does not live any more.
func blockPassedGone(h *harness) {
	h.startBlocked("a", "v1")
	old := h.joinVersion("v1", nameOf("a"))
	h.joinVersion("v1", nameOf("a"))
	h.joinVersion("v2", nameOf("other"))
	fresh := h.joinVersion("v2", nameOf("a"))
	x := h.holdAt(fresh, at(500), "a")
	x.release(lambdabiz.Release{WakeAt: at(600), Blocked: blocked("v1")})
	want(h, len(h.claimAt(old, at(600), "a").Runs), 0, "runs claimed while the other version lives")
	h.leave(fresh)
	want(h, len(h.claimAt(old, at(599), "a").Runs), 0, "runs claimed before RetryAt")
	want(h, len(h.claimAt(old, at(600), "a").Runs), 1, "runs claimed when nobody else serves the definition")
}

func blockClears(h *harness) {
	h.startBlocked("a", "v1")
	x := h.holdAt(h.join(), at(500), "a")
	x.release(lambdabiz.Release{})
	if h.load("a").Blocked != nil {
		h.Fatalf("Blocked after a release without a reason")
	}
	h.raise("a", "e")
	h.due(at(4), "a", "it is not blocked any more")
}

// blockEndsWithClaim: the run goes on, and a message must wake it.
func blockEndsWithClaim(h *harness) {
	h.startBlocked("a", "v1")
	x := h.holdAt(h.join(), at(500), "a")
	h.must(x.try(lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}}).Err, "commit")
	if h.load("a").Blocked != nil {
		h.Fatalf("Blocked after a commit that ended the claim")
	}
	h.raise("a", "e")
	h.due(at(501), "a", "it is not blocked any more")
}
