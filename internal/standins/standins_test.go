package standins_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/swf"
	swftypes "github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// holdMoto makes this binary start moto, say where it is, and wait to be killed.
const holdMoto = "LAMBDABIZ_STANDINS_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdMoto) == "" {
		os.Exit(m.Run())
	}
	fmt.Println(standins.Moto(&recorder{}))
	select {} // until killed
}

func settings(endpoint string) aws.Config {
	return aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String(endpoint),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "standins", SecretAccessKey: "standins"}, nil
		}),
	}
}

func TestDynamoDBKeepsItemsAndConditions(t *testing.T) {
	t.Parallel()
	endpoints := map[string]func(standins.TB) string{"dynalite": standins.DynamoDB, "moto": standins.Moto}
	for name, endpoint := range endpoints {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			useTable(t, dynamodb.NewFromConfig(settings(endpoint(t))))
		})
	}
}

func useTable(t *testing.T, client *dynamodb.Client) {
	t.Helper()
	ctx := t.Context()
	table := aws.String("Table" + rand.Text())
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: table, BillingMode: dynamodbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
		},
		KeySchema: []dynamodbtypes.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: dynamodbtypes.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := map[string]dynamodbtypes.AttributeValue{"pk": &dynamodbtypes.AttributeValueMemberS{Value: "Sequence3"}}
	put := func(version string) error {
		_, err := client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: table,
			Item: map[string]dynamodbtypes.AttributeValue{
				"pk": key["pk"], "version": &dynamodbtypes.AttributeValueMemberN{Value: version},
			},
			ConditionExpression: aws.String("attribute_not_exists(version) OR version < :new"),
			ExpressionAttributeValues: map[string]dynamodbtypes.AttributeValue{
				":new": &dynamodbtypes.AttributeValueMemberN{Value: version},
			},
		})
		return err
	}
	if err := put("9"); err != nil {
		t.Fatal(err)
	}
	if err := put("10"); err != nil {
		t.Fatalf("a newer version: %v", err)
	}
	var refused *dynamodbtypes.ConditionalCheckFailedException
	if err := put("9"); !errors.As(err, &refused) {
		t.Fatalf("an older version: %v, want a failed condition", err)
	}
	got, err := client.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := got.Item["version"].(*dynamodbtypes.AttributeValueMemberN); !ok || v.Value != "10" {
		t.Fatalf("read %v, want version 10", got.Item)
	}
}

func TestMotoPlaysSWF(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := swf.NewFromConfig(settings(standins.Moto(t)))
	domain := aws.String("Domain" + rand.Text())
	register := &swf.RegisterDomainInput{Name: domain, WorkflowExecutionRetentionPeriodInDays: aws.String("1")}
	if _, err := client.RegisterDomain(ctx, register); err != nil {
		t.Fatal(err)
	}
	var exists *swftypes.DomainAlreadyExistsFault
	if _, err := client.RegisterDomain(ctx, register); !errors.As(err, &exists) {
		t.Fatalf("a second registration: %v, want DomainAlreadyExistsFault", err)
	}
	kind := &swftypes.WorkflowType{Name: aws.String("Sequence"), Version: aws.String("1")}
	begin := &swf.StartWorkflowExecutionInput{
		Domain: domain, WorkflowId: aws.String("Sequence3"), WorkflowType: kind,
		TaskList: &swftypes.TaskList{Name: aws.String("lambdabiz")}, ChildPolicy: swftypes.ChildPolicyTerminate,
		TaskStartToCloseTimeout: aws.String("60"), ExecutionStartToCloseTimeout: aws.String("3600"),
	}
	var unknown *swftypes.UnknownResourceFault
	if _, err := client.StartWorkflowExecution(ctx, begin); !errors.As(err, &unknown) {
		t.Fatalf("a start of an unknown type: %v, want UnknownResourceFault", err)
	}
	if _, err := client.RegisterWorkflowType(ctx, &swf.RegisterWorkflowTypeInput{
		Domain: domain, Name: kind.Name, Version: kind.Version,
	}); err != nil {
		t.Fatal(err)
	}
	started, err := client.StartWorkflowExecution(ctx, begin)
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(started.RunId) == "" {
		t.Fatal("a start without a run id")
	}
}

// TestOnlyLoopbackIsServed: dynalite's own command fails this, it listens on all interfaces.
func TestOnlyLoopbackIsServed(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{standins.DynamoDB(t), standins.Moto(t)} {
		at, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if at.Hostname() != "127.0.0.1" {
			t.Errorf("%s is not on 127.0.0.1", endpoint)
		}
		hosts := []string{"::1"}
		if runtime.GOOS == "linux" { // where all of 127/8 is this machine, and an open port answers there
			hosts = append(hosts, "127.0.0.2")
		}
		addresses, err := net.InterfaceAddrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range addresses {
			if ip, ok := address.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
				hosts = append(hosts, ip.IP.String())
			}
		}
		dialer := net.Dialer{Timeout: 10 * time.Second}
		for _, host := range hosts {
			if conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(host, at.Port())); err == nil {
				_ = conn.Close()
				t.Errorf("%s also answers on %s", endpoint, host)
			}
		}
	}
}

func TestSharedByAllTests(t *testing.T) {
	t.Parallel()
	if a, b := standins.Moto(t), standins.Moto(t); a != b {
		t.Errorf("two motos: %s and %s", a, b)
	}
}

func TestCfnLintRuns(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), standins.CfnLint(t), "--version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "cfn-lint") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestNothingIsLeftBehindByAKilledTest kills a test binary with SIGKILL: its moto must end too.
func TestNothingIsLeftBehindByAKilledTest(t *testing.T) {
	t.Parallel()
	_ = standins.Moto(t) // is it installed?
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.CommandContext(t.Context(), self, "-test.run=^$")
	holder.Env = append(os.Environ(), holdMoto+"=1")
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	endpoint, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, strings.TrimSpace(endpoint))
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // says that it was killed
	wantEnded(t, conn)
}

func TestStopWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	endpoint, stop, err := standins.StartMoto(t)
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, endpoint)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	wantEnded(t, conn)
}

func connect(t *testing.T, endpoint string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// wantEnded waits for the end of the moto that the connection leads to: it keeps an idle connection as long as it lives.
func wantEnded(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("moto outlives what started it: %v", err)
	}
}

func TestAStandInThatEndsAtOnceShowsItsLog(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh to play a stand-in")
	}
	if _, err := standins.Start("sh", "-c", "echo no room >&2; exit 3"); err == nil ||
		!strings.Contains(err.Error(), "no room") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v, want what it printed and how it ended", err)
	}
	endpoint, err := standins.Start("sh", "-c", "echo warming up; echo port 123; read forever; true")
	if err != nil || endpoint != "http://127.0.0.1:123" {
		t.Errorf("got %s, %v, want port 123", endpoint, err)
	}
}

// recorder is a TB that notes how a test would have ended. Like testing's, its Skipf and Fatalf do not return.
type recorder struct{ skipped, failed string }

func (r *recorder) Helper()             {}
func (r *recorder) Cleanup(func())      {}
func (r *recorder) Failed() bool        { return r.failed != "" }
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Skipf(format string, args ...any) {
	r.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestMissingSkipsButFailsInContinuousIntegration(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	look := func(root string, ci bool) (r recorder, dir string) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			dir = standins.Installed(&r, "moto", "python", root, ci)
		}()
		<-done
		return r, dir
	}
	for _, at := range []string{root, ""} {
		if r, _ := look(at, false); !strings.Contains(r.skipped, "make standins") || r.failed != "" {
			t.Errorf("missing at %q: skipped %q, failed %q; want a skip that says how", at, r.skipped, r.failed)
		}
		if r, _ := look(at, true); !strings.Contains(r.failed, "make standins") || r.skipped != "" {
			t.Errorf("missing at %q with CI=true: skipped %q, failed %q; want a failure", at, r.skipped, r.failed)
		}
	}
	folder := filepath.Join(root, ".standins")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "python.stamp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, dir := look(root, true); dir != folder || r != (recorder{}) {
		t.Errorf("installed: %q, %+v", dir, r)
	}
}

func TestStandInsGetNoCredentials(t *testing.T) {
	t.Parallel()
	got := standins.Environment([]string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=s", "aws_profile=p", "CI=true"})
	if want := []string{"PATH=/bin", "CI=true"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
