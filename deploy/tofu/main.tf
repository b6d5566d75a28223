# A $4 droplet with firewall and DNS: `tofu init && tofu apply`, with DIGITALOCEAN_TOKEN in the environment.

terraform {
  required_version = ">= 1.8"
  required_providers {
    digitalocean = {
      source  = "digitalocean/digitalocean"
      version = "~> 2.60"
    }
  }
}

variable "domain" {
  description = "The site's domain, managed by DigitalOcean's name servers."
  type        = string
}

variable "region" {
  description = "Where the droplet stands."
  type        = string
  default     = "fra1"
}

variable "ssh_key_fingerprints" {
  description = "SSH keys known to DigitalOcean that may log in."
  type        = list(string)
}

variable "ssh_sources" {
  description = "Addresses from which SSH is reachable. Narrow this to your own."
  type        = list(string)
  default     = ["0.0.0.0/0", "::/0"]
}

resource "digitalocean_droplet" "site" {
  name       = "site"
  image      = "debian-12-x64"
  region     = var.region
  size       = "s-1vcpu-512mb-10gb"
  ipv6       = true
  monitoring = true
  ssh_keys   = var.ssh_key_fingerprints
  user_data  = file("${path.module}/../cloud-init.yaml")

  lifecycle {
    # A changed cloud-init file would replace the running machine.
    ignore_changes = [user_data]
  }
}

resource "digitalocean_firewall" "site" {
  name        = "site"
  droplet_ids = [digitalocean_droplet.site.id]

  dynamic "inbound_rule" {
    for_each = { ssh = "22", http = "80", https = "443" }
    content {
      protocol         = "tcp"
      port_range       = inbound_rule.value
      source_addresses = inbound_rule.key == "ssh" ? var.ssh_sources : ["0.0.0.0/0", "::/0"]
    }
  }

  # HTTP/3, by the proxy in front.
  inbound_rule {
    protocol         = "udp"
    port_range       = "443"
    source_addresses = ["0.0.0.0/0", "::/0"]
  }

  dynamic "outbound_rule" {
    for_each = toset(["tcp", "udp"])
    content {
      protocol              = outbound_rule.value
      port_range            = "1-65535"
      destination_addresses = ["0.0.0.0/0", "::/0"]
    }
  }
}

resource "digitalocean_domain" "site" {
  name = var.domain
}

resource "digitalocean_record" "a" {
  domain = digitalocean_domain.site.id
  type   = "A"
  name   = "@"
  value  = digitalocean_droplet.site.ipv4_address
  ttl    = 300
}

resource "digitalocean_record" "aaaa" {
  domain = digitalocean_domain.site.id
  type   = "AAAA"
  name   = "@"
  value  = digitalocean_droplet.site.ipv6_address
  ttl    = 300
}

output "address" {
  description = "Where the droplet answers."
  value       = digitalocean_droplet.site.ipv4_address
}
