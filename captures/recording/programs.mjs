/**
 * The programs that talk in the recordings, where Debian has no ready one: an HTTP server, DNS queries from a chosen
 * port, a forwarder as docker-proxy is one, a single datagram. Node alone runs them, nothing needs to be installed.
 *
 *   node programs.mjs http PORT NAME                       HTTP server: /, /large, /upload, else 404
 *   node programs.mjs proxy PORT HOST PORT                 accepts TCP and forwards it, like docker-proxy
 *   node programs.mjs lookup SERVER NAME...                A, AAAA, TXT and MX of names, by c-ares (Node's own resolver)
 *   node programs.mjs get LOCAL-PORT URL                   one HTTP request; unlike curl, can take a port again at once
 *   node programs.mjs hang-up HOST PORT PATH               HTTP request, and a TCP reset when the answer begins
 *   node programs.mjs query LOCAL-PORT SERVER NAME         one A query from a UDP port of one's choice, waits for the answer
 *   node programs.mjs datagram LOCAL-PORT HOST PORT TEXT   sends one UDP datagram and waits shortly for an error
 *   node programs.mjs host-file FOLDER                     the host file made of addr, route, ... in FOLDER
 */
import { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { connect, createServer } from 'node:net';

/** Text that is the same on every run: 16 bytes a line. */
function body(name, bytes) {
  let text = '';
  for (let line = 0; text.length < bytes; line++) text += `${`${name} line ${line}`.padEnd(15, '.')}\n`;
  return text.slice(0, bytes);
}

function http(port, name) {
  const server = createHttpServer((request, response) => {
    response.sendDate = false;
    response.setHeader('Content-Type', 'text/plain');
    let received = 0;
    request.on('data', (chunk) => {
      received += chunk.length;
    });
    request.on('end', () => {
      if (request.url === '/') response.end(`hello from ${name}\n`);
      else if (request.url === '/large') response.end(body(name, 16 * 1024));
      else if (request.url === '/upload') response.end(`${received} bytes received\n`);
      else {
        response.statusCode = 404;
        response.end('no such page\n');
      }
    });
  });
  server.listen(Number(port), '0.0.0.0');
}

function proxy(port, host, hostPort) {
  const server = createServer((client) => {
    const backend = connect(Number(hostPort), host);
    client.pipe(backend);
    backend.pipe(client);
    client.on('error', () => backend.destroy());
    backend.on('error', () => client.destroy());
  });
  server.listen(Number(port), '0.0.0.0');
}

async function lookup(server, ...names) {
  const resolver = new Resolver({ timeout: 2000, tries: 1 });
  resolver.setServers([server]);
  for (const name of names) {
    for (const type of ['A', 'AAAA', 'TXT', 'MX']) {
      const answer = await resolver.resolve(name, type).catch((error) => error.code);
      if (answer === 'ETIMEOUT' || answer === 'ECONNREFUSED') throw new Error(`${server} does not answer`);
    }
  }
}

/** Node binds with SO_REUSEADDR: a port still in TIME_WAIT towards one server can be used towards the next. */
function get(localPort, url) {
  const request = httpRequest(url, { localPort: Number(localPort), agent: false }, (response) => {
    if (response.statusCode !== 200) throw new Error(`${url}: ${response.statusCode}`);
    response.resume();
  });
  request.end();
}

function hangUp(host, port, path) {
  const socket = connect(Number(port), host, () => socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
  socket.once('data', () => socket.resetAndDestroy());
}

/** RFC 1035 section 4.1: header and one question, A IN. A fixed id. */
function dnsQuery(name) {
  const header = Buffer.from([0x4e, 0x52, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}

function query(localPort, server, name) {
  const socket = createSocket('udp4');
  const deadline = setTimeout(() => {
    throw new Error(`no answer from ${server}`);
  }, 3000);
  socket.on('message', () => {
    clearTimeout(deadline);
    socket.close();
  });
  socket.bind(Number(localPort), () => socket.send(dnsQuery(name), 53, server));
}

function datagram(localPort, host, port, text) {
  const socket = createSocket('udp4');
  const close = () => socket.close();
  const deadline = setTimeout(close, 500);
  // Only a connected socket is told of ICMP errors.
  socket.on('error', () => {
    clearTimeout(deadline);
    close();
  });
  socket.bind(Number(localPort), () => socket.connect(Number(port), host, () => socket.send(text)));
}

/** DESIGN of the host file: what iproute2 prints, sysctls as an object of strings, rules as one text. */
function hostFile(folder) {
  const read = (name) => readFileSync(`${folder}/${name}`, 'utf8');
  const sysctl = Object.fromEntries(
    read('sysctl')
      .split('\n')
      .filter((line) => line.includes(' = '))
      .map((line) => line.split(' = ')),
  );
  const host = {
    addr: JSON.parse(read('addr')),
    route: JSON.parse(read('route')),
    route6: JSON.parse(read('route6') || '[]'),
    sysctl,
    iptables: read('iptables'),
  };
  process.stdout.write(`${JSON.stringify(host, null, 2)}\n`);
}

const roles = { http, proxy, lookup, get, 'hang-up': hangUp, query, datagram, 'host-file': hostFile };
const [role, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(roles, role)) throw new Error(`no such role: ${role}`);
await roles[role](...rest);
