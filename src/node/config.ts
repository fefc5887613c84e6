import { readFileSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { parseDocument } from "yaml";
import { z } from "zod";
import { limits } from "../wire/limits.js";
import { parseAddress, isLoopback } from "./address.js";
import { NODE_EXIT, NodeExitError } from "./exit-codes.js";
import { crossCheckOptions, optionsSchema } from "./options.js";

/** What a node may be called: its name stands in paths, certificates and metrics. */
export const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
export const NODE_NAME_WORDS = "letters, digits, dot, dash and underscore, at most 63";

const name = z.string().regex(NODE_NAME, NODE_NAME_WORDS);
const address = z.string().refine((text) => parseAddress(text) !== null, "host:port, port 0 to 65535");

const memberSchema = z.strictObject({
  name,
  /** Number in the consensus group; never given to another node. */
  raftId: z.number().int().min(1).max(limits.raftIdMax),
  grpc: address,
  http: address,
});

const shareSchema = z.strictObject({
  name,
  /** The directory that all file nodes reach; relative to the configuration file. */
  path: z.string().min(1),
});

const tlsSchema = z.strictObject({
  cert: z.string().min(1),
  key: z.string().min(1),
  ca: z.string().min(1),
  /**
   * Common names of the certificates that may change the cluster through the Admin service. Without it every certificate
   * of the authority may. A common name holds at most 64 characters (RFC 5280).
   */
  operators: z.array(z.string().min(1).max(64)).min(1).max(256).optional(),
});

/** What is done about a file node that was taken for dead, beyond waiting for its lease to end. */
const fenceSchema = z.strictObject({
  /** Run before a node is declared down; `{node}` and `{incarnation}` are replaced. Exit code 0 confirms its death. */
  command: z.array(z.string().min(1)).min(1).optional(),
  commandTimeoutMs: z.number().int().min(100).max(600_000).default(10_000),
  /**
   * Files that the dead owner had open for writing go on as copies. Not covered: files that several sessions have open, and
   * files with several hard links; only a command covers those.
   */
  copyOnTakeover: z.boolean().default(false),
});

const configSchema = z.strictObject({
  /** This node. */
  name,
  cluster: z.strictObject({
    id: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "letters, digits, dot, dash and underscore, at most 64"),
    /** The coordinators with which the cluster begins. Later changes go through `holdfast members`. */
    members: z.array(memberSchema).min(1).max(9),
    /**
     * This node joins a running cluster (`holdfast members add`): on an empty disk it begins without a configuration and
     * gets everything from its peers. Without it an empty disk is a founder's.
     */
    join: z.boolean().default(false),
  }),
  roles: z
    .array(z.enum(["coordinator", "file-node"]))
    .min(1)
    .default(["coordinator", "file-node"]),
  /** Where this node listens; default: its addresses as a member. */
  listen: z.strictObject({ grpc: address.optional(), http: address.optional() }).default({}),
  /** What others are told to dial; default: its addresses as a member, else where it listens. */
  advertise: z.strictObject({ grpc: address.optional(), http: address.optional() }).default({}),
  /** Folder of this node alone; relative to the configuration file. */
  data: z.string().min(1),
  shares: z.array(shareSchema).default([]),
  tls: tlsSchema.optional(),
  /** Needed to listen beyond loopback without `tls`. */
  insecure: z.boolean().default(false),
  labels: z.record(z.string().max(64), z.string().max(256)).default({}),
  logLevel: z.enum(["debug", "info", "warn", "error"]).default("info"),
  fence: fenceSchema.prefault({}),
  options: optionsSchema.prefault({}),
});

type ParsedConfig = z.infer<typeof configSchema>;

/** A configuration that was checked: paths absolute, addresses filled in. */
export interface NodeConfig extends Omit<ParsedConfig, "listen" | "advertise"> {
  readonly listen: { readonly grpc: string; readonly http: string };
  readonly advertise: { readonly grpc: string; readonly http: string };
  /** This node as a coordinator of the configured start; undefined for others. */
  readonly member: ParsedConfig["cluster"]["members"][number] | undefined;
}

/** Where a configuration comes from; later ones win: file, then environment, then flags. */
export interface ConfigSources {
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** From `--set path=value`. */
  readonly settings: readonly string[];
}

const NEXT = "see deploy/n1.yaml for an example with every field";

function refuse(what: string, next = NEXT): never {
  throw new NodeExitError(NODE_EXIT.usage, what, next);
}

/** Reads and checks a node's configuration. Throws NodeExitError with one clear line. */
export function loadConfig(sources: ConfigSources): NodeConfig {
  const raw = sources.file === undefined ? {} : readYaml(sources.file);
  for (const [key, value] of Object.entries(sources.env)) applyEnvironment(raw, key, value);
  for (const setting of sources.settings) applySetting(raw, setting);
  if (sources.file === undefined && Object.keys(raw).length === 0)
    refuse("a node wants a configuration", "holdfast node --config FILE, with deploy/n1.yaml as an example");
  return checkConfig(raw, sources.file === undefined ? process.cwd() : dirname(resolve(sources.file)));
}

function readYaml(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    return refuse(
      `configuration file ${file} cannot be read: ${(error as Error).message}`,
      "give its path with --config",
    );
  }
  const document = parseDocument(text, { prettyErrors: true });
  const [problem] = document.errors;
  if (problem !== undefined) {
    const line = problem.linePos?.[0].line;
    refuse(
      `configuration file ${file}${line === undefined ? "" : `, line ${line}`}: ${firstLine(problem.message)}`,
    );
  }
  const value: unknown = document.toJS();
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    refuse(`configuration file ${file} holds no fields`);
  }
  return value as Record<string, unknown>;
}

function firstLine(text: string): string {
  return (text.split("\n")[0] ?? "").replace(/:$/, "");
}

/** HOLDFAST_NODE_DATA=/x sets `data`, HOLDFAST_NODE_OPTIONS_LEASEMS sets `options.leaseMs`: any leaf of the schema. */
function applyEnvironment(raw: Record<string, unknown>, key: string, value: string | undefined): void {
  const prefix = "HOLDFAST_NODE_";
  if (!key.startsWith(prefix) || value === undefined) return;
  const path = settablePaths().find(
    (each) => each.replaceAll(".", "_").toUpperCase() === key.slice(prefix.length),
  );
  if (path === undefined) {
    refuse(`environment variable ${key} names no setting`, `settings are ${settablePaths().join(", ")}`);
  }
  setPath(raw, path, value);
}

function applySetting(raw: Record<string, unknown>, setting: string): void {
  const equals = setting.indexOf("=");
  if (equals < 1) refuse(`--set ${setting}: wants path=value`, "for example --set options.leaseMs=2000");
  const path = setting.slice(0, equals);
  if (!settablePaths().includes(path)) {
    refuse(`--set ${setting}: there is no setting ${path}`, `settings are ${settablePaths().join(", ")}`);
  }
  setPath(raw, path, setting.slice(equals + 1));
}

function settablePaths(): string[] {
  return [
    "name",
    "data",
    "insecure",
    "logLevel",
    "cluster.id",
    "listen.grpc",
    "listen.http",
    "advertise.grpc",
    "advertise.http",
    "tls.cert",
    "tls.key",
    "tls.ca",
    ...Object.keys(optionsSchema.shape).map((option) => `options.${option}`),
  ];
}

function setPath(raw: Record<string, unknown>, path: string, text: string): void {
  const parts = path.split(".");
  const last = parts.pop() as string;
  let folder = raw;
  for (const part of parts) {
    const next = folder[part];
    if (typeof next !== "object" || next === null) folder[part] = {};
    folder = folder[part] as Record<string, unknown>;
  }
  folder[last] = /^-?\d+$/.test(text) && parts[0] === "options" ? Number(text) : scalar(text, last);
}

function scalar(text: string, field: string): unknown {
  if (field !== "insecure") return text;
  return text === "true" ? true : text === "false" ? false : text;
}

/** Checks a configuration that was read; relative paths count from `folder`. */
export function checkConfig(raw: unknown, folder: string): NodeConfig {
  const parsed = configSchema.safeParse(raw);
  if (!parsed.success) return refuse(describe(parsed.error.issues, raw));
  const config = parsed.data;
  const crossed = crossCheckOptions(config.options);
  if (crossed !== null)
    refuse(
      `configuration: ${crossed.path}: ${crossed.message}`,
      "widen the margin or drop the setting for its default",
    );
  checkMembers(config);
  const member = config.cluster.members.find((each) => each.name === config.name);
  if (!config.roles.includes("coordinator")) {
    refuse(
      "configuration: roles has no coordinator: a node that only serves files cannot be started by this version",
      "set roles: [coordinator, file-node], and let it join as a learner: holdfast members add, without promote",
    );
  }
  if (member === undefined) {
    refuse(
      `configuration: name is ${config.name}, which is none of cluster.members (${config.cluster.members.map((each) => each.name).join(", ")})`,
      "correct name, or add this node to cluster.members",
    );
  }
  const listen = {
    grpc: config.listen.grpc ?? member?.grpc ?? refuse("configuration: listen.grpc is missing"),
    http: config.listen.http ?? member?.http ?? refuse("configuration: listen.http is missing"),
  };
  if (config.tls === undefined && !config.insecure) {
    for (const [field, value] of Object.entries(listen)) {
      if (!isLoopback(value)) {
        refuse(
          `configuration: listen.${field} is ${value}, beyond loopback, without tls`,
          "set tls.cert, tls.key and tls.ca, or insecure: true if the network is trusted",
        );
      }
    }
  }
  const absolute = (path: string) => (isAbsolute(path) ? path : resolve(folder, path));
  return {
    ...config,
    listen,
    advertise: {
      grpc: config.advertise.grpc ?? member?.grpc ?? listen.grpc,
      http: config.advertise.http ?? member?.http ?? listen.http,
    },
    member,
    data: absolute(config.data),
    shares: config.shares.map((share) => ({ ...share, path: absolute(share.path) })),
    ...(config.tls === undefined
      ? {}
      : {
          tls: {
            cert: absolute(config.tls.cert),
            key: absolute(config.tls.key),
            ca: absolute(config.tls.ca),
            ...(config.tls.operators === undefined ? {} : { operators: config.tls.operators }),
          },
        }),
  };
}

function checkMembers(config: ParsedConfig): void {
  for (const field of ["name", "raftId", "grpc"] as const) {
    const seen = new Set<unknown>();
    for (const member of config.cluster.members) {
      const value = member[field];
      const many = field === "grpc" && String(value).endsWith(":0");
      if (seen.has(value) && !many) {
        refuse(
          `configuration: cluster.members: ${field} ${value} stands there twice`,
          "give each member its own",
        );
      }
      seen.add(value);
    }
  }
  const names = config.shares.map((share) => share.name);
  const twice = names.find((each, i) => names.indexOf(each) !== i);
  if (twice !== undefined)
    refuse(`configuration: shares: ${twice} stands there twice`, "give each share its own name");
}

/** The first problem in words; a person mends one at a time. */
function describe(issues: readonly z.core.$ZodIssue[], raw: unknown): string {
  const [issue] = issues;
  if (issue === undefined) return "configuration: not valid";
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  const path = issue.path.map(String).join(".");
  if (issue.code === "unrecognized_keys") {
    return `configuration: ${path === "" ? "" : `${path}: `}there is no field ${issue.keys.join(", ")}${more}`;
  }
  let value: unknown = raw;
  for (const part of issue.path) value = (value as Record<PropertyKey, unknown> | undefined)?.[part];
  const shown = value === undefined ? "missing" : `${JSON.stringify(value)}`;
  return `configuration: ${path} is ${shown}: ${issue.message}${more}`;
}
