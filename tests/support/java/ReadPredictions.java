import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.EncoderFactory;
import org.apache.pulsar.client.api.AuthenticationFactory;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.Reader;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.api.schema.GenericRecord;

/**
 * A consumer that knows nothing of the product: it reads what a topic holds by the topic's own schema.
 *
 * <p>Arguments: broker URL, topic, token file, output file. Writes one JSON object a line: the message's key, event time,
 * and record in Avro's JSON encoding.
 */
public final class ReadPredictions {

    private ReadPredictions() {}

    public static void main(String[] arguments) throws Exception {
        try (PulsarClient client = PulsarClient.builder()
                        .serviceUrl(arguments[0])
                        .authentication(AuthenticationFactory.token(Files.readString(Path.of(arguments[2])).strip()))
                        .build();
                Reader<GenericRecord> reader = client.newReader(Schema.AUTO_CONSUME())
                        .topic(arguments[1])
                        .startMessageId(MessageId.earliest)
                        .create();
                PrintStream out = new PrintStream(arguments[3], "UTF-8")) {
            while (reader.hasMessageAvailable()) {
                Message<GenericRecord> message = reader.readNext(10, TimeUnit.SECONDS);
                if (message.getValue() != null) { // a message without a value is a marker of the exactly-once protocol
                    print(message, out);
                }
            }
        }
    }

    private static void print(Message<GenericRecord> message, PrintStream out) throws Exception {
        var record = (org.apache.avro.generic.GenericRecord) message.getValue().getNativeObject();
        var line = new ByteArrayOutputStream();
        var encoder = EncoderFactory.get().jsonEncoder(record.getSchema(), line);
        new GenericDatumWriter<>(record.getSchema()).write(record, encoder);
        encoder.flush();
        out.printf(
                "{\"key\": \"%s\", \"event_time\": %d, \"record\": %s}%n",
                message.getKey(), message.getEventTime(), line.toString("UTF-8"));
    }
}
