// Counts a capture's packets with pcap-parser: what a program built on it would need before doing anything.
const { parse } = require('pcap-parser');

let packets = 0;
const parser = parse(process.argv[2]);
parser.on('packet', () => {
  packets++;
});
parser.on('error', (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
parser.on('end', () => {
  console.log(String(packets));
});
