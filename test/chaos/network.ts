import { command, tryCommand } from "./command.js";

/**
 * Hosts of our own: network namespaces that hang on one bridge inside a further namespace, so that nothing of it is
 * visible outside and nothing outside is reachable from it.
 *
 * A partition is a wrong link-layer address for the other host: frames leave and nobody takes them, without an error to
 * the sender (a blackhole route would answer EINVAL at once, which no broken network does). It is one-way by nature;
 * two of them make it two-way. Loss and delay need the kernel's netem where it has it.
 */
export class TestNetwork {
  private readonly prefix: string;
  readonly hasNetem: boolean;

  private constructor(prefix: string, hasNetem: boolean) {
    this.prefix = prefix;
    this.hasNetem = hasNetem;
  }

  /** Makes `hosts` namespaces, each with its own address. `tag` keeps two runs apart. */
  static async create(tag: string, hosts: readonly string[]): Promise<TestNetwork> {
    const prefix = `hf${tag}`;
    const hub = `${prefix}-hub`;
    await command("ip", ["netns", "add", hub]);
    await command("ip", ["-n", hub, "link", "add", "br0", "type", "bridge"]);
    await command("ip", ["-n", hub, "link", "set", "br0", "up"]);
    for (const [i, host] of hosts.entries()) {
      const ns = `${prefix}-${host}`;
      const port = `${prefix}p${i}`;
      await command("ip", ["netns", "add", ns]);
      await command("ip", [
        "-n",
        ns,
        "link",
        "add",
        "eth0",
        "type",
        "veth",
        "peer",
        "name",
        port,
        "netns",
        hub,
      ]);
      await command("ip", ["-n", hub, "link", "set", port, "master", "br0", "up"]);
      await command("ip", ["-n", ns, "addr", "add", `${addressOf(i)}/24`, "dev", "eth0"]);
      await command("ip", ["-n", ns, "link", "set", "lo", "up"]);
      await command("ip", ["-n", ns, "link", "set", "eth0", "up"]);
    }
    const probe = `${prefix}-${hosts[0] ?? ""}`;
    const hasNetem = await tryCommand("ip", [
      "netns",
      "exec",
      probe,
      "tc",
      "qdisc",
      "add",
      "dev",
      "lo",
      "root",
      "netem",
      "delay",
      "1ms",
    ]);
    if (hasNetem) await tryCommand("ip", ["netns", "exec", probe, "tc", "qdisc", "del", "dev", "lo", "root"]);
    return new TestNetwork(prefix, hasNetem);
  }

  /** Words that put a command line into a host. */
  inHost(host: string): readonly string[] {
    return ["netns", "exec", `${this.prefix}-${host}`];
  }

  /** From now on nothing that `from` sends arrives at `to`. */
  async cut(from: string, toAddress: string): Promise<void> {
    const nowhere = ["lladdr", "02:00:00:00:00:00", "nud", "permanent", "dev", "eth0"];
    await command("ip", ["-n", `${this.prefix}-${from}`, "neigh", "replace", toAddress, ...nowhere]);
  }

  async heal(from: string, toAddress: string): Promise<void> {
    await tryCommand("ip", ["-n", `${this.prefix}-${from}`, "neigh", "del", toAddress, "dev", "eth0"]);
  }

  /** Delay and loss on everything that the host sends. Only where the kernel has netem. */
  async degrade(host: string, delayMs: number, lossPercent: number): Promise<void> {
    const tc = [
      "qdisc",
      "replace",
      "dev",
      "eth0",
      "root",
      "netem",
      "delay",
      `${delayMs}ms`,
      "loss",
      `${lossPercent}%`,
    ];
    await command("ip", [...this.inHost(host), "tc", ...tc]);
  }

  async restore(host: string): Promise<void> {
    await tryCommand("ip", [...this.inHost(host), "tc", "qdisc", "del", "dev", "eth0", "root"]);
  }

  /** Removes every namespace of this run. */
  async close(hosts: readonly string[]): Promise<void> {
    for (const host of [...hosts, "hub"]) await tryCommand("ip", ["netns", "del", `${this.prefix}-${host}`]);
  }
}

/** Address of the i-th host, from the range set aside for documentation and tests. */
export function addressOf(i: number): string {
  return `192.0.2.${i + 1}`;
}
