import java.io.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

/** What Java programs are made of. Prints what comes of it. */
public class Work {
    record Item(int id, String name) {}

    static long churn(long seed) {
        Map<Long, byte[]> live = new HashMap<>();
        for (int i = 0; i < 50000; i++) {
            seed = (seed * 1103515245 + 12345) % (1L << 31);
            live.put(seed % 1000, new byte[(int) (seed % 3000)]);
        }
        return live.values().stream().mapToLong(data -> data.length).sum();
    }

    public static void main(String[] arguments) throws Exception {
        List<Item> items = IntStream.range(0, 20000).mapToObj(i -> new Item(i * 7919 % 20011, "name " + i)).toList();
        System.out.println(items.parallelStream().sorted(Comparator.comparing(Item::id)).skip(5000).findFirst());
        Map<Integer, Long> groups = items.stream().collect(Collectors.groupingBy(i -> i.id() % 7, Collectors.counting()));
        System.out.println(new TreeMap<>(groups));

        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<Long>> sums = new ArrayList<>();
        for (long i = 0; i < 40; i++) {
            long seed = i;
            sums.add(pool.submit(() -> churn(seed)));
        }
        long sum = 0;
        for (Future<Long> part : sums) sum += part.get();
        pool.shutdown();
        System.out.println(sum);

        // Memory of the C library: direct buffers, zlib, threads.
        ByteBuffer[] buffers = new ByteBuffer[200];
        for (int i = 0; i < 2000; i++) buffers[i % 200] = ByteBuffer.allocateDirect(i * 7 + 1).put(0, (byte) i);
        System.out.println(Arrays.stream(buffers).mapToInt(b -> b.get(0)).sum());
        byte[] text = items.toString().getBytes("UTF-8");
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (GZIPOutputStream out = new GZIPOutputStream(packed)) { out.write(text); }
        byte[] back = new GZIPInputStream(new ByteArrayInputStream(packed.toByteArray())).readAllBytes();
        System.out.println(Arrays.equals(text, back) + " " + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(back)));
        for (int i = 0; i < 300; i++) {
            Thread thread = new Thread(() -> churn(1));
            if (i % 100 == 0) { thread.start(); thread.join(); }
        }
        Process process = new ProcessBuilder("sh", "-c", "cat; exit 3").start();
        try (OutputStream in = process.getOutputStream()) { in.write("to a child\n".getBytes()); }
        System.out.print(new String(process.getInputStream().readAllBytes()));
        System.out.println(process.waitFor());
        Path file = Files.createTempFile(Path.of("."), "work", ".txt");
        Files.writeString(file, "line\n".repeat(1000));
        System.out.println(Files.lines(file).count());
        Files.delete(file);
        try {
            System.out.println(new long[Integer.MAX_VALUE].length);
        } catch (OutOfMemoryError error) {
            System.out.println("OutOfMemoryError");
        }
    }
}
