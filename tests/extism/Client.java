import java.nio.file.Path;
import java.util.*;
import org.extism.sdk.*;
import org.extism.sdk.manifest.*;
import org.extism.sdk.wasm.*;

/** What a Java program does with Extism; run over either library, with the same checks. */
public class Client {
    static int calls;

    static void check(boolean fine, String what) {
        if (!fine)
            throw new AssertionError(what);
    }

    interface Work {
        void run() throws Exception;
    }

    static void fails(Work work, String text) throws Exception {
        try {
            work.run();
        } catch (ExtismException e) {
            check(e.getMessage().contains(text), e.getMessage());
            return;
        }
        check(false, "no error: " + text);
    }

    static HostFunction<?>[] hello() {
        LibExtism.ExtismValType[] pointer = {LibExtism.ExtismValType.I64};
        ExtismFunction<HostUserData> f = (plugin, in, out, data) -> {
            calls++;
            String said = plugin.inputString(in[0]);
            System.gc(); // looks at this stack
            plugin.returnString(out[0], "<" + said + ">");
        };
        return new HostFunction<?>[] {new HostFunction<>("hello_world", pointer, pointer, f, Optional.empty())};
    }

    public static void main(String[] args) throws Exception {
        var source = new WasmSourceResolver().resolve(Path.of(args[0]));
        var manifest = new Manifest(List.of(source), null, Map.of("key", "value"));
        check(LibExtism.INSTANCE.extism_version().contains("weir") == args[1].equals("weir"), "another library is loaded");
        try (var plugin = new Plugin(manifest, true, hello())) {
            for (int i = 0; i < 50; i++)
                check(plugin.call("count_vowels", "a test of it").equals("<{\"count\":    4}>"), "count");
            check(calls == 50, "calls");
            fails(() -> plugin.call("nothing", ""), "Function not found: nothing");
            fails(() -> plugin.call("fail", ""), "error while executing at wasm backtrace:");
            check(plugin.updateConfig("{\"key\":\"other\"}"), "config");
            check(!plugin.updateConfig("[]"), "config");
            check(plugin.call("count_vowels", "").equals("<{\"count\":    0}>"), "after a trap");
        }
        fails(() -> new Plugin(manifest, true, new HostFunction<?>[0]), "unknown import: `extism:host/user::hello_world` has not been defined");
        fails(() -> new Plugin("nonsense".getBytes(), true, null), "Unknown manifest format");
        var threads = new ArrayList<Thread>();
        int[] fine = new int[4];
        for (int t = 0; t < 4; t++) {
            int mine = t;
            threads.add(new Thread(() -> {
                try (var plugin = new Plugin(manifest, true, hello())) {
                    for (int i = 0; i < 50; i++)
                        check(plugin.call("count_vowels", "aa").equals("<{\"count\":    2}>"), "thread");
                    fine[mine] = 1;
                }
            }));
        }
        for (var t : threads)
            t.start();
        for (var t : threads)
            t.join();
        check(Arrays.stream(fine).sum() == 4, "threads");
        System.out.println("java over " + LibExtism.INSTANCE.extism_version() + " fine: " + calls + " host calls");
    }
}
