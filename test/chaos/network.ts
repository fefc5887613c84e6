import { command, tryCommand } from "./command.js";

/**
 * Hosts of our own: network namespaces that hang on one bridge inside a further namespace, so that nothing of it is
 * visible outside and nothing outside is reachable from it.
 *
 * A partition is a wrong link-layer address for the other host: frames leave and nobody takes them, without an error to
 * the sender (a blackhole route would answer EINVAL at once, which no broken network does). It is one-way by nature;
 * two of them make it two-way.
 *
 * Loss and delay are netem's where the kernel has it. Elsewhere packets are thrown away at random by a filter of four
 * instructions at the host's door, inwards and outwards, and delayed by a token bucket that lets so many packets a second
 * pass, queues the rest and drops what would wait too long: a slow link, not a long one.
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

  /** From now on so many percent of what the host sends and gets are lost. */
  async lose(host: string, percent: number): Promise<void> {
    if (this.hasNetem) return this.tc(host, "qdisc replace dev eth0 root netem loss", `${percent}%`);
    await this.tc(host, "qdisc replace dev eth0 clsact");
    for (const way of ["ingress", "egress"])
      await this.tc(host, `filter add dev eth0 ${way} bpf direct-action bytecode`, dropAtRandom(percent));
  }

  /** From now on what the host sends leaves late: after a fixed delay, or in a queue behind a slow link. */
  async slowDown(host: string, delayMs: number, packetsPerSecond: number): Promise<void> {
    if (this.hasNetem) return this.tc(host, `qdisc replace dev eth0 root netem delay ${delayMs}ms`);
    const rate = `rate ${packetsPerSecond * PACKET_BYTES * 8}bit burst ${2 * PACKET_BYTES} mpu ${PACKET_BYTES}`;
    await this.tc(host, `qdisc replace dev eth0 root tbf ${rate} latency ${delayMs}ms`);
  }

  /** Ends loss and delay. */
  async restore(host: string): Promise<void> {
    const tc = [...this.inHost(host), "tc", "qdisc", "del", "dev", "eth0"];
    await tryCommand("ip", [...tc, "root"]);
    await tryCommand("ip", [...tc, "clsact"]);
  }

  private async tc(host: string, words: string, ...last: string[]): Promise<void> {
    await command("ip", [...this.inHost(host), "tc", ...words.split(" "), ...last]);
  }

  /** Removes every namespace of this run. */
  async close(hosts: readonly string[]): Promise<void> {
    for (const host of [...hosts, "hub"]) await tryCommand("ip", ["netns", "del", `${this.prefix}-${host}`]);
  }
}

/** Every packet counts as one of this size, so that a rate in bits is one in packets. */
const PACKET_BYTES = 1600;

/** A classic filter program that drops a packet when the kernel's random number is below the share. */
function dropAtRandom(percent: number): string {
  const loadRandom = "32 0 0 4294963256";
  const share = Math.floor((percent / 100) * 2 ** 32);
  const passUnlessBelow = `53 0 1 ${share}`;
  return `4,${loadRandom},${passUnlessBelow},6 0 0 0,6 0 0 2`;
}

/** Address of the i-th host, from the range set aside for documentation and tests. */
export function addressOf(i: number): string {
  return `192.0.2.${i + 1}`;
}
