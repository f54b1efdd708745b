package swf

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
)

// listing lists runs.
type listing struct {
	*service
	store lambdabiz.Store // nil for none
}

// list returns a page of runs from the store, or from SWF's lists: those are filtered by one thing alone.
func (l *listing) list(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	if l.store != nil {
		page, err := l.store.List(ctx, f)
		if err != nil {
			return page, fmt.Errorf("read the store: %w", err)
		}
		return page, nil
	}
	if f.IDPrefix != "" || f.Blocked || f.Paused {
		return lambdabiz.Page{}, &lambdabiz.UnsupportedError{
			Backend: "swf", Feature: lambdabiz.FeatureList, Why: "Amazon SWF lists by status alone (give swf.Config a Store)",
		}
	}
	return l.listHome(ctx, f)
}

// listHome reads SWF's own lists: open runs, newest start first, then closed ones, newest start first.
func (l *listing) listHome(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	at, err := parseCursor(f.Cursor)
	if err != nil {
		return lambdabiz.Page{}, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	var page lambdabiz.Page
	for {
		rows, token, err := l.listSome(ctx, at, limit-len(page.Runs))
		if err != nil {
			return page, err
		}
		for i := range rows {
			if x := executionOf(&rows[i]); len(f.Status) == 0 || slices.Contains(f.Status, x.info.Status) {
				page.Runs = append(page.Runs, x.info)
			}
		}
		switch {
		case token != "":
			at.Token = token
		case !at.Closed:
			at = listCursor{Closed: true}
		default:
			return page, nil
		}
		if len(page.Runs) >= limit {
			page.Next, err = at.String()
			return page, err
		}
	}
}

func (l *listing) listSome(ctx context.Context, at listCursor, limit int) ([]types.WorkflowExecutionInfo, string, error) {
	var token *string
	if at.Token != "" {
		token = &at.Token
	}
	since := &types.ExecutionTimeFilter{OldestDate: aws.Time(oldest())}
	size := int32(max(1, min(limit, 1000)))
	if at.Closed {
		out, err := l.client.ListClosedWorkflowExecutions(ctx, &swf.ListClosedWorkflowExecutionsInput{
			Domain: &l.domain, StartTimeFilter: since, NextPageToken: token, MaximumPageSize: size,
		})
		if err != nil {
			return nil, "", err //nolint:wrapcheck // the caller says what it was
		}
		return out.ExecutionInfos, aws.ToString(out.NextPageToken), nil
	}
	out, err := l.client.ListOpenWorkflowExecutions(ctx, &swf.ListOpenWorkflowExecutionsInput{
		Domain: &l.domain, StartTimeFilter: since, NextPageToken: token, MaximumPageSize: size,
	})
	if err != nil {
		return nil, "", err //nolint:wrapcheck // the caller says what it was
	}
	return out.ExecutionInfos, aws.ToString(out.NextPageToken), nil
}

// listCursor is where a list of SWF goes on: open runs come first, then closed ones.
type listCursor struct {
	Closed bool   `json:"closed,omitempty"`
	Token  string `json:"token,omitempty"`
}

var errCursor = errors.New("swf: Filter.Cursor is not from Page.Next")

func parseCursor(s string) (listCursor, error) {
	var c listCursor
	if s == "" {
		return c, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || json.Unmarshal(text, &c) != nil {
		return c, errCursor
	}
	return c, nil
}

// String is the cursor as Page.Next has it.
func (c listCursor) String() (string, error) {
	text, err := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(text), err
}
