// What node programs are made of: memory of V8 and memory of C++ side by side. Prints what comes of it.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { execFileSync, fork } = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const zlib = require('zlib');

function digest(data) {
    return crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);
}

function churnObjects(rounds) {
    const map = new Map();
    for (let i = 0; i < rounds; i++) {
        map.set(`key ${i % 5000}`, { i, list: new Array(i % 50).fill(i), text: 'x'.repeat(i % 100) });
    }
    let sum = 0;
    for (const value of map.values()) sum += value.i + value.list.length + value.text.length;
    return sum;
}

function churnBuffers(rounds) {
    const live = new Array(200);
    let sum = 0;
    for (let i = 0; i < rounds; i++) {
        const buffer = Buffer.alloc(1 + (i * 7919) % 100000, i % 256);
        sum = (sum + buffer[buffer.length - 1] + buffer.length) % 1000000007;
        live[i % live.length] = buffer;
    }
    return sum;
}

if (!isMainThread) {
    parentPort.postMessage([churnObjects(20000 + workerData), churnBuffers(2000)]);
    return;
}
if (process.argv[2] === 'child') {
    process.send({ sum: churnObjects(10000) });
    process.disconnect();
    return;
}

async function main() {
    console.log('objects', churnObjects(200000));
    console.log('buffers', churnBuffers(20000));

    const text = JSON.stringify(Array.from({ length: 20000 }, (_, i) => ({ i, name: `name ${i * 7919 % 20011}` })));
    console.log('json', text.length, JSON.parse(text).reduce((sum, row) => sum + row.i, 0));
    const packed = zlib.gzipSync(text, { level: 6 });
    console.log('zlib', digest(zlib.gunzipSync(packed)), digest(zlib.brotliDecompressSync(zlib.brotliCompressSync(text, {
        params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } }))));
    console.log('crypto', crypto.pbkdf2Sync('secret', 'salt', 1000, 16, 'sha512').toString('hex'));
    const cipher = crypto.createCipheriv('aes-128-gcm', Buffer.alloc(16), Buffer.alloc(12));
    console.log('cipher', digest(Buffer.concat([cipher.update(text), cipher.final()])));
    console.log('regexp', text.match(/name 1+"/g).length, text.replace(/\d/g, '#').length);

    const workers = [0, 1, 2, 3].map((n) => new Promise((resolve, reject) => {
        new Worker(__filename, { workerData: n }).on('message', resolve).on('error', reject);
    }));
    console.log('workers', (await Promise.all(workers)).join(' '));
    console.log('child', await new Promise((resolve) => fork(__filename, ['child']).on('message', resolve)));
    console.log('shell', execFileSync('echo', ['from a program'], { encoding: 'utf8' }).trim());

    fs.writeFileSync('text.json', text);
    const chunks = [];
    for await (const chunk of fs.createReadStream('text.json', { highWaterMark: 4096 })) chunks.push(chunk);
    console.log('stream', chunks.length, digest(Buffer.concat(chunks)));
    await Promise.all(Array.from({ length: 200 }, (_, i) => fs.promises.writeFile('small', String(i % 1)).then(() => i)));
    console.log('wasm', await wasmMemory());
}

// A module with one page of memory that grows: (module (memory (export "m") 1)).
async function wasmMemory() {
    const bytes = Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 109, 2, 0]);
    const { instance } = await WebAssembly.instantiate(bytes);
    instance.exports.m.grow(64);
    return instance.exports.m.buffer.byteLength;
}

main();
