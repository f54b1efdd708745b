package lambdabiz

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// performs reports whether the backend does operations of the kind itself.
func (d *Description) performs(k Kind) bool { return slices.Contains(d.Performs, k) }

func (d *Description) checkOrchestrationID(id string) error {
	if err := checkID("orchestration id", id); err != nil {
		return err
	}
	if most := d.MaxIDBytes; most > 0 && len(id) > most {
		return fmt.Errorf("check orchestration id %q: %w: %d bytes, the limit of %s is %d",
			id, ErrTooLarge, len(id), d.Name, most)
	}
	return nil
}

func (d *Description) checkStart(s *RunStart) error {
	if err := errors.Join(d.checkOrchestrationID(s.ID), checkID("orchestration name", s.Name)); err != nil {
		return err
	}
	if err := checkTags(s.Tags); err != nil {
		return err
	}
	s.Tags = maps.Clone(s.Tags)
	if s.Queue != "" {
		if err := checkID("queue", s.Queue); err != nil {
			return err
		}
		if !d.Queues {
			return &UnsupportedError{Backend: d.Name, Feature: FeatureQueue, Why: "all workers serve all runs"}
		}
	}
	switch {
	case s.Policy > RestartFailed:
		return fmt.Errorf("check start policy: %d is none", s.Policy)
	case s.Policy == RejectOpen, s.Policy == RestartEnded:
		return nil
	case s.Mode == ModeHand && s.Policy == UseExisting:
		return nil // Create has looked: the caller drives the run that is there, and an ended one is ErrClosed
	default:
		return d.supports(FeatureStartPolicy)
	}
}

// maxTagsBytes bounds the tags of a run together: every row of a list carries them.
const maxTagsBytes = 64 << 10

func checkTags(tags map[string]string) error {
	all := 0
	for k, v := range tags {
		if err := checkID("tag", k); err != nil {
			return err
		}
		if v != "" { // else a home may take it for another one
			if err := checkID("value of tag "+k, v); err != nil {
				return err
			}
		}
		all += len(k) + len(v)
	}
	if all > maxTagsBytes {
		return fmt.Errorf("check tags: %w: they have %d bytes together, the limit is %d", ErrTooLarge, all, maxTagsBytes)
	}
	return nil
}

// checkCommit refuses what is larger than the home writes at once, with the operation that is to blame: the last one of too
// many, or the largest.
func (d *Description) checkCommit(c *Commit) (operation string, err error) {
	items, bytes := c.Items(), c.Bytes()
	at := len(c.Operations) - 1
	switch {
	case d.MaxCommitItems > 0 && items > d.MaxCommitItems:
		err = fmt.Errorf("%w: its commit has %d items, the limit of the home (%s) is %d", ErrTooLarge, items, d.Name, d.MaxCommitItems)
	case d.MaxCommitBytes > 0 && bytes > d.MaxCommitBytes:
		err = fmt.Errorf("%w: its commit has %d bytes, the limit of the home (%s) is %d", ErrTooLarge, bytes, d.Name, d.MaxCommitBytes)
		for i := range c.Operations {
			if c.Operations[i].bytes() > c.Operations[at].bytes() {
				at = i
			}
		}
	default:
		return "", nil
	}
	if at >= 0 {
		operation = c.Operations[at].ID
		err = fmt.Errorf("operation %q: %w", operation, err)
	}
	if c.Run != nil {
		err = fmt.Errorf("orchestration %q: %w", c.Run.ID, err)
	}
	return operation, err
}

// checkRemote refuses what the home cannot do with a task that it performs itself.
func (d *Description) checkRemote(task string, opts *callOptions) error {
	switch {
	case d.MaxTaskBytes > 0 && len(task) > d.MaxTaskBytes:
		return fmt.Errorf("check task %q: %w: %d bytes, the limit of the home (%s) is %d",
			task, ErrTooLarge, len(task), d.Name, d.MaxTaskBytes)
	case d.TaskTimeout > 0 && opts.timeout > d.TaskTimeout:
		return &UnsupportedError{Backend: d.Name, Feature: FeatureLongTask, Why: fmt.Sprintf(
			"a task that is no Go task may take %v, this one asks for %v", d.TaskTimeout, opts.timeout)}
	case opts.heartbeat > 0:
		return d.supports(FeatureHeartbeat)
	}
	return nil
}

// supports returns *UnsupportedError if the backend refuses the feature.
func (d *Description) supports(f Feature) error {
	if why, refused := d.Refuses[f]; refused {
		return &UnsupportedError{Backend: d.Name, Feature: f, Why: why}
	}
	return nil
}
