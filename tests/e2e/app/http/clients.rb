# SPDX-License-Identifier: Apache-2.0
# clients.rb net BASE NAME: Ruby's net/http
require "net/http"
require "openssl"
base, name = ARGV[1], ARGV[2]
uri = URI(base)
KINDS = %w[ok big chunked gzip redirect nocontent notmodified missing fail endless hints cut reset hangup slow ok]
wanted = KINDS.each_with_index.map { |kind, i| ["Get", "/#{kind}/#{name}-#{i}", nil] }
wanted += [["Head", "/big/#{name}-head", nil], ["Post", "/ok/#{name}-small", "s" * 1000], ["Post", "/ok/#{name}-large", "l" * 2000000],
           ["Put", "/fail/#{name}-put", "p" * 20000], ["Delete", "/nocontent/#{name}-delete", nil]]
http = Net::HTTP.new(uri.host, uri.port)
http.use_ssl = uri.scheme == "https"
http.verify_mode = OpenSSL::SSL::VERIFY_NONE
http.max_retries = 0
http.start
wanted.each do |method, path, body|
  http.start unless http.started?
  http.read_timeout = path.include?("/slow/") ? 0.4 : 20
  request = Net::HTTP.const_get(method).new(path)
  request.body = body if body
  http.request(request)
rescue StandardError => e
  puts "#{path} #{e.class}"
  http.finish if http.started?
end
