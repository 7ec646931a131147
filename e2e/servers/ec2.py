"""moto as EC2, with what it gets wrong put right.

It adds an instance's groups to those of its interfaces, so that nothing is ever
isolated, and it takes groups that do not exist. EC2 does neither. The interfaces
of an endpoint are in the VPC's default group, and not in the endpoint's groups,
and their type is that of others; by type it finds none.
Snapshots are complete the moment they are asked for; EC2's take a while. An
instance in standby stays behind its group's balancers; Auto Scaling takes it out.
And it does not find instances by the ARN of their profile.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshots.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-enter-exit-standby.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
"""
import inspect
import time

from moto.autoscaling.models import AutoScalingBackend
from moto.ec2.exceptions import InvalidSecurityGroupNotFoundError
from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.models.elastic_network_interfaces import NetworkInterface, NetworkInterfaceBackend
from moto.ec2.models.vpcs import VPCBackend
from moto.ec2.utils import filter_dict_attribute_mapping
from moto.server import main

create_endpoint = VPCBackend.create_vpc_endpoint
modify = NetworkInterfaceBackend.modify_network_interface_attribute
make = Snapshot.__init__
value = NetworkInterface.get_filter_value
enter, leave = AutoScalingBackend.enter_standby_instances, AutoScalingBackend.exit_standby_instances

# What it has learned must not be done twice.
for function, wrong in (
    (NetworkInterface.group_set.fget, "set(self.instance.security_groups)"),
    (modify, "eni._group_set = groups"),
    (create_endpoint, "self.create_network_interface(subnet_id, random_private_ip())"),
    (make, 'self.status = "completed"'),
    (enter, "group.set_desired_capacity(group.desired_capacity)\n        return activities"),
    (leave, "group.set_desired_capacity(group.desired_capacity)\n        return activities"),
):
    if wrong not in inspect.getsource(function):
        raise SystemExit(f"moto is not wrong in {function.__name__} as {__file__} takes it to be: see what it does now")
if "interface-type" in inspect.getsource(value):
    raise SystemExit(f"moto finds interfaces by their type: take that out of {__file__}")
if "iam-instance-profile.arn" in filter_dict_attribute_mapping:
    raise SystemExit(f"moto finds instances by their profile: take that out of {__file__}")
if hasattr(AutoScalingBackend, "describe_instance_refreshes"):
    raise SystemExit(f"moto knows instance refreshes: take e2e/refreshes.go out, and this line of {__file__}")


def modify_network_interface_attribute(self, eni_id, group_ids, *rest):
    for group in group_ids:
        if not self.get_security_group_from_id(group):
            raise InvalidSecurityGroupNotFoundError(group)
    modify(self, eni_id, group_ids, *rest)
    interface = self.get_network_interface(eni_id)
    if interface.instance and interface.device_index == 0:
        interface.instance.security_groups = interface._group_set


def create_vpc_endpoint(self, *arguments, **named):
    endpoint = create_endpoint(self, *arguments, **named)
    for id in endpoint.network_interface_ids:
        interface = self.get_network_interface(id)
        interface.interface_type = "vpc_endpoint"
        interface._group_set = [self.get_security_group_from_id(group) for group in endpoint.security_group_ids]
    return endpoint


def get_filter_value(self, name, *rest):
    return self.interface_type if name == "interface-type" else value(self, name, *rest)


def snapshot(self, *arguments, **named):
    self.complete_at = time.monotonic() + 2
    make(self, *arguments, **named)


def enter_standby(self, group_name, instance_ids, should_decrement):
    activities = enter(self, group_name, instance_ids, should_decrement)
    for arn in self.autoscaling_groups[group_name].target_group_arns:
        self.elbv2_backend.deregister_targets(arn, [{"Id": i} for i in instance_ids])
    self.update_attached_elbs(group_name)
    return activities


def exit_standby(self, group_name, instance_ids):
    activities = leave(self, group_name, instance_ids)
    for arn in self.autoscaling_groups[group_name].target_group_arns:
        port = self.elbv2_backend.target_groups[arn].port
        self.elbv2_backend.register_targets(arn, [{"Id": i, "Port": port} for i in instance_ids])
    self.update_attached_elbs(group_name)
    return activities


filter_dict_attribute_mapping["iam-instance-profile.arn"] = "iam_instance_profile.Arn"
NetworkInterface.group_set = property(lambda self: self._group_set)
NetworkInterface.get_filter_value = get_filter_value
NetworkInterfaceBackend.modify_network_interface_attribute = modify_network_interface_attribute
VPCBackend.create_vpc_endpoint = create_vpc_endpoint
Snapshot.__init__ = snapshot
AutoScalingBackend.enter_standby_instances = enter_standby
AutoScalingBackend.exit_standby_instances = exit_standby
Snapshot.status = property(
    lambda self: "pending" if time.monotonic() < self.complete_at else "completed", lambda self, _: None)
Snapshot.progress = property(lambda self: "40%" if self.status == "pending" else "100%")
main()
