package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
	"github.com/lambdabiz/lambdabiz/internal/fakelambda"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/internal/standins"
)

const (
	region  = "eu-west-2"
	account = "123456789012"
	table   = "LambdaBizState"
	role    = "arn:aws:iam::" + account + ":role/TaskInvokerRole"
	module  = "github.com/lambdabiz/lambdabiz"
)

// settings say how the stand-ins run. Out is required.
type settings struct {
	Out      io.Writer
	Logs     bool          // show the logs of the functions
	Timeout  time.Duration // of the function Process
	Margin   time.Duration // lambdahandler.Config.Margin: longer than PollWait
	PollWait time.Duration // how long the fake of SWF holds a poll; the default is 2 s
	DynamoDB string        // the URL of a DynamoDB that runs; "" starts one if it is installed

	// Mode is LAMBDABIZ_MODE of Process. The default is drive.
	Mode string

	// Functions is the folder of the compiled functions. The default is to compile them.
	Functions string

	// AccessKey is letters and digits: dynalite has tables of its own for each. The stand-ins check no signatures. The
	// default is lambdabiz.
	AccessKey string

	BeforeTask func(name string) // called before SWF invokes a Lambda function
}

// local is AWS on this machine.
type local struct {
	settings

	swf      *fakeswf.Server
	endpoint *endpoint // of swf
	service  *endpoint
	lambda   *fakelambda.Server
	table    bool // there is a DynamoDB with the table
	closers  []func() error
}

// start compiles the functions and starts the stand-ins.
func start(ctx context.Context, c settings) (*local, error) {
	c.PollWait, c.AccessKey = cmp.Or(c.PollWait, 2*time.Second), cmp.Or(c.AccessKey, "lambdabiz")
	c.Mode = cmp.Or(c.Mode, "drive")
	l := &local{settings: c}
	for _, step := range []func(context.Context) error{
		l.compile, l.startDynamoDB, l.startLambda, l.startSWF, l.startService, l.register,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	return l, nil
}

// close ends everything, the last first.
func (l *local) close() error {
	var err error
	for len(l.closers) > 0 {
		last := len(l.closers) - 1
		err = errors.Join(err, l.closers[last]())
		l.closers = l.closers[:last]
	}
	return err
}

// awsConfig is what a client of the stand-ins needs.
func (l *local) awsConfig() aws.Config {
	return aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider(l.AccessKey, l.AccessKey, "")}
}

func (l *local) startDynamoDB(ctx context.Context) error {
	if l.DynamoDB == "" {
		url, stop, err := standins.StartDynamoDB()
		if errors.Is(err, standins.ErrNotInstalled) {
			fmt.Fprintln(l.Out, "dynalite is not installed (make standins does it): the state is read from SWF, without a store")
			return nil
		}
		if err != nil {
			return err
		}
		l.closers = append(l.closers, stop)
		l.DynamoDB = url
	}
	l.table = true
	return dynamodb.CreateTable(ctx, dynamodb.Config{AWS: l.awsConfig(), Table: table, Endpoint: l.DynamoDB})
}

func (l *local) startLambda(context.Context) error {
	c := fakelambda.Config{Region: region, Account: account}
	if l.Logs {
		c.Logs = l.Out
	}
	server, err := fakelambda.Open(c)
	if err != nil {
		return err
	}
	l.lambda = server
	l.closers = append(l.closers, server.Close)
	return nil
}

// startSWF starts the fake of SWF, whose Lambda tasks are functions of the stand-in of Lambda.
func (l *local) startSWF(ctx context.Context) error {
	l.swf = fakeswf.New(fakeswf.Config{PollWait: l.PollWait, Lambda: l.perform})
	l.closers = append(l.closers, func() error { l.swf.Close(); return nil })
	var err error
	l.endpoint, err = l.listen(ctx, l.swf)
	return err
}

// environment is that of Process.
func (l *local) environment() []string {
	env := []string{
		"AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=" + l.AccessKey, "AWS_SECRET_ACCESS_KEY=" + l.AccessKey,
		"AWS_ENDPOINT_URL_SWF=" + l.endpoint.url, "AWS_ENDPOINT_URL_DYNAMODB=" + l.DynamoDB,
		"LAMBDABIZ_MODE=" + l.Mode, "LAMBDABIZ_LAMBDA_ROLE=" + role,
		"LAMBDABIZ_MARGIN=" + l.Margin.String(), "LAMBDABIZ_DECISION_TIMEOUT=20s",
		"SYSTEMROOT=" + os.Getenv("SYSTEMROOT"), // Windows opens no socket without it
	}
	if l.table {
		env = append(env, "LAMBDABIZ_TABLE="+table)
	}
	return env
}

// register makes the functions known.
func (l *local) register(context.Context) error {
	functions := []fakelambda.Function{{
		Name: "Process", Bootstrap: bootstrap(l.Functions, "process"), Env: l.environment(), Timeout: l.Timeout, Freeze: true,
	}}
	for _, name := range []string{"Number", "Sum", "Difference", "Product", "Quotient"} {
		functions = append(functions, fakelambda.Function{
			Name: name, Bootstrap: bootstrap(l.Functions, "task"), Timeout: time.Minute, Freeze: true,
			Env: []string{"LAMBDABIZ_TASK=" + name, "SYSTEMROOT=" + os.Getenv("SYSTEMROOT")},
		})
	}
	return l.lambda.Register(functions...)
}

// compile compiles the functions into a folder of its own, unless they are there.
func (l *local) compile(ctx context.Context) error {
	if l.Functions != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "lambdabiz")
	if err != nil {
		return err
	}
	l.closers = append(l.closers, func() error { return os.RemoveAll(dir) })
	l.Functions = dir
	return compile(ctx, dir)
}

// compile does what "make package" does, for this machine.
func compile(ctx context.Context, dir string) error {
	for _, name := range []string{"process", "task"} {
		args := []string{"build", "-trimpath", "-tags", "lambda.norpc", "-o", bootstrap(dir, name), module + "/examples/aws/" + name}
		cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // it builds its own packages
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", name, err, out)
		}
	}
	return nil
}

func bootstrap(dir, name string) string {
	path := filepath.Join(dir, name, "bootstrap")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	return path
}

// endpoint is a server on the loopback interface.
type endpoint struct{ url string }

func (l *local) listen(ctx context.Context, h http.Handler) (*endpoint, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	l.closers = append(l.closers, func() error {
		err := server.Close()
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return err
	})
	return &endpoint{"http://" + listener.Addr().String()}, nil
}
