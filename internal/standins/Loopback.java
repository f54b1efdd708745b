import com.almworks.sqlite4java.SQLite;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.ContextHandler;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBRequestHandler;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBServerHandler;

/**
 * Runs DynamoDB Local in memory, on 127.0.0.1 only.
 *
 * <p>Its own main class listens on all interfaces and has no option against it, so this one builds the
 * same server on an address. It takes a free port, prints "port N" when it serves, and ends when its
 * standard input does: whoever started it takes it along, even when killed. Its telemetry is never set
 * up, so it calls nobody.
 */
public final class Loopback {
    private Loopback() {}

    /** Serves until standard input ends. */
    public static void main(String[] args) throws Exception {
        SQLite.getLibraryVersion(); // loads the native library: fails here, not at the first request
        LocalDynamoDBRequestHandler tables = new LocalDynamoDBRequestHandler(0, true, null, false, false);
        Server server = new Server(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0));
        server.setHandler(new ContextHandler(new LocalDynamoDBServerHandler(tables, null), "/"));
        server.start();
        System.out.println("port " + ((ServerConnector) server.getConnectors()[0]).getLocalPort());
        System.out.flush();
        awaitEnd();
        Runtime.getRuntime().halt(0); // tables in memory need no farewell
    }

    private static void awaitEnd() throws IOException {
        byte[] buffer = new byte[64];
        while (System.in.read(buffer) >= 0) {
            // nothing is ever said, only the end counts
        }
    }
}
