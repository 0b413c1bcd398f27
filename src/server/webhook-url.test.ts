import { describe, expect, it } from 'vitest';
import { AllowedHosts } from '../util/http/allowed-hosts.ts';
import { checkWebhook } from './webhook-url.ts';

const hosts = new AllowedHosts([
  'hooks.example.com',
  'other.example.com:8443',
  '10.0.0.5:8080',
  'localhost:9000',
  '[::1]:9000',
]);

describe('a webhook', () => {
  it.each([
    'https://hooks.example.com/a?b=c',
    'https://HOOKS.example.com:443/',
    'https://other.example.com:8443/',
    'http://10.0.0.5:8080/x',
    'http://localhost:9000/',
    'http://[::1]:9000/',
  ])('to %s is allowed', (url) => {
    expect(() => checkWebhook(hosts, url)).not.toThrow();
  });

  it.each([
    ['https://evil.example.com/', '--allow-webhook evil.example.com'],
    ['https://hooks.example.com.evil.com/', '--allow-webhook'],
    ['https://hooks.example.com:8443/', '--allow-webhook hooks.example.com:8443'],
    ['https://other.example.com/', '--allow-webhook'],
    ['http://hooks.example.com/', 'Expected https'],
    ['http://10.0.0.5/', '--allow-webhook'],
    ['http://169.254.169.254/latest/meta-data', '--allow-webhook'],
    ['http://2130706433:9000/', '--allow-webhook 127.0.0.1:9000'],
    ['https://ann:secret@hooks.example.com/', 'without a name and password'],
    ['http://other.example.com:8443/', 'Expected https'],
  ])('to %s is not', (url, sentence) => {
    expect(() =>
      checkWebhook(
        new AllowedHosts(['hooks.example.com:443', 'other.example.com:8443', '10.0.0.5:8080']),
        url,
      ),
    ).toThrow(sentence);
  });
});
