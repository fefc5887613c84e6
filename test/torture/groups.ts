import { channelCases } from "./cases/channels.js";
import { contendedTwoCases } from "./cases/contended-two.js";
import { directoryLeaseCases } from "./cases/dirlease.js";
import { durableCases } from "./cases/durable.js";
import { leaseCases } from "./cases/lease.js";
import { leaseTableCases } from "./cases/lease-tables.js";
import { lockIoCases } from "./cases/lock-io.js";
import { lockCases } from "./cases/lock.js";
import { persistentOpenCases } from "./cases/persistent-open.js";
import { replayCases } from "./cases/replay.js";
import { shareCases } from "./cases/shares.js";
import { takeoverCases } from "./cases/takeover.js";
import type { Case } from "./run-cases.js";

/** All cases by the suite whose names they bear. */
export const GROUPS: Readonly<Record<string, readonly Case[]>> = {
  "smb2.persistent-open": persistentOpenCases,
  "smb2.persistent-open, kinds of share": shareCases,
  "smb2.persistent-open-reconnect-contended, two holders": contendedTwoCases,
  "smb2.durable-v2-open, durable-open": durableCases,
  "smb2.replay": replayCases,
  "smb2.lock": [...lockCases, ...lockIoCases],
  "smb2.session.bind, several channels of one session": channelCases,
  "smb2.lease": [...leaseCases, ...leaseTableCases],
  "smb2.dirlease": directoryLeaseCases,
  "smb2.durable-v2-open, session, application instances": takeoverCases,
};
