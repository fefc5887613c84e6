import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Files of one certificate. */
export interface CertificateFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority of a test, made with openssl in a folder of its own. */
export class TestAuthority {
  readonly ca: string;
  private readonly caKey: string;

  constructor(private readonly folder: string) {
    this.ca = join(folder, "ca.pem");
    this.caKey = join(folder, "ca.key");
    openssl(
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=test authority",
      "-keyout",
      this.caKey,
      "-out",
      this.ca,
    );
  }

  /** A certificate with this common name, good for a server on loopback and for a client. */
  issue(name: string): CertificateFiles {
    const path = (suffix: string) => join(this.folder, `${name}.${suffix}`);
    openssl(
      "req",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-subj",
      `/CN=${name}`,
      "-keyout",
      path("key"),
      "-out",
      path("csr"),
    );
    writeFileSync(path("ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    openssl(
      "x509",
      "-req",
      "-days",
      "2",
      "-in",
      path("csr"),
      "-CA",
      this.ca,
      "-CAkey",
      this.caKey,
      "-CAcreateserial",
      "-extfile",
      path("ext"),
      "-out",
      path("pem"),
    );
    return { ca: this.ca, cert: path("pem"), key: path("key") };
  }
}

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: "ignore" });
}
